import { printable } from "../../services/printable";
import { table } from "../table";
import { describeFinding, type Finding } from "./finding";

/** For a terminal. */
export function renderFindings(findings: readonly Finding[], target: string, triedLogins: boolean): string {
  const passwords = triedLogins ? "" : "\nNo passwords are known here: nobody logged in.";
  if (findings.length === 0) return `${target} is what the plan says.${passwords}`;
  const rows = findings.map(({ kind, role, what, expected, found }) =>
    [kind, role || "–", what, expected, found].map(printable),
  );
  return [
    table([["kind", "role", "what", "expected", "found"], ...rows]),
    "",
    `${findings.length} ${findings.length === 1 ? "finding" : "findings"} on ${target}. --fix-sql prints what repairs them.${passwords}`,
  ].join("\n");
}

/**
 * One transaction that repairs the findings, for psql as superuser in the plan's database. What somebody may miss, and what a
 * person must look at, are comments.
 * @param destructive what somebody may miss is done too
 */
export function renderFixes(findings: readonly Finding[], destructive: boolean): string {
  const done = new Set<string>();
  // A role that goes must have lost its rights first; what gets another name is called by the old one until then.
  const rank = ({ kind, destroys = false }: Finding) => (kind === "prefix" ? 2 : Number(destroys));
  const ordered = [...findings].sort((a, b) => rank(a) - rank(b));
  const lines = ordered.flatMap((finding) => {
    const { fix, destroys = false, byHand } = finding;
    // A name may hold a line break, and with it leave the comment.
    const comment = `-- ${describeFinding(finding)}`;
    if (byHand !== undefined) return [comment, `-- by hand: ${printable(byHand)}`, ""];
    const statements = fix.filter((statement) => !done.has(statement));
    for (const statement of statements) done.add(statement);
    if (destroys && !destructive) {
      return [
        comment,
        "-- somebody may miss it; with --destructive:",
        ...statements.map((one) => `-- ${printable(one)};`),
        "",
      ];
    }
    return [comment, ...statements.map((statement) => `${statement};`), ""];
  });
  // The guard looks at whole schemas: what is refused in one must not keep the rest from being repaired.
  return [
    "BEGIN;",
    "SET LOCAL session_replication_role = replica;",
    "SET LOCAL lock_timeout = '10s';",
    "",
    ...lines,
    "COMMIT;",
    "",
  ].join("\n");
}
