import { serviceOf } from "../../agent/drills/findings";
import type { Plan } from "../../components/access/plan-items";
import { notAudited, type Finding } from "./finding";

/** Nobody reads more; names may take kilobytes to print, and half a gigabyte is all that one text has room for. */
const most = 1000;

/** The first thousand of each service, and how many more there are: an owner makes as many as it likes. Pure. */
export function atMost(findings: readonly Finding[], { services }: Plan): readonly Finding[] {
  const counts = new Map<string | null, number>();
  const told = findings.filter((finding) => {
    // What is not known weighs more than any that is.
    if (finding.kind === notAudited) return true;
    const service = serviceOf(finding, services);
    const count = (counts.get(service) ?? 0) + 1;
    counts.set(service, count);
    return service === null || count <= most;
  });
  const more = [...counts].flatMap(([service, count]): Finding[] => {
    if (service === null || count <= most) return [];
    const what = `${count - most} more of service ${service}`;
    return [
      {
        ...{ kind: "not told", role: "", schema: service, what, expected: "none", found: "as many", fix: [] },
        byHand: "when those that are told are repaired, the audit tells the next.",
      },
    ];
  });
  return [...told, ...more];
}
