import { restoreLoginBegin } from "../../components/access/plan-items";
import type { Finding } from "../../ops/audit/finding";
import { tierRole, tiers, type ResolvedService } from "../../services/service";

/** One thing a drill has found. */
export interface DrillFinding {
  /** Code of the service it is of; null: of none. */
  readonly service: string | null;
  /** A sentence. */
  readonly what: string;
}

/** What a drill has found of one service, however much of others. */
export interface Verdict {
  /** Its code; null: what is of no service. */
  readonly service: string | null;
  /** How many sentences; no verdict is of none. */
  readonly findings: number;
  /** One of them. */
  readonly first: string;
}

/** A verdict for each that something was found of. Pure. */
export function verdictsOf(found: readonly DrillFinding[]): readonly Verdict[] {
  const services = [...new Set(found.map(({ service }) => service))];
  return services.map((service) => {
    const its = found.filter((one) => one.service === service);
    return { service, findings: its.length, first: its[0]?.what ?? "" };
  });
}

/**
 * The service that a finding of the audit is of: in whose schema it is, else whose roles own it, else whose role it names. Whoever owns
 * something may grant it to another's role, or to PUBLIC: that is its own doing. Pure.
 */
export function serviceOf(
  { schema, owner, role }: Pick<Finding, "schema" | "owner" | "role">,
  services: readonly Pick<ResolvedService, "code">[],
): string | null {
  const has = (one: string, code: string) =>
    tiers.some((tier) => tierRole(code, tier) === one) || one.startsWith(restoreLoginBegin(code));
  const found = services.find(({ code }) => code === schema) ?? services.find(({ code }) => has(owner ?? role, code));
  return found?.code ?? null;
}
