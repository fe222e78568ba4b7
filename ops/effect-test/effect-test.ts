import type { ClientBase } from "pg";
import { frozenRoles, type Plan } from "../../components/access/plan-items";
import { audit } from "../audit/audit";
import type { LoginTarget } from "../login-target";
import type { Attempt, Violation } from "./attempt";
import { boundaryAttempts } from "./boundaries";
import { existingAttempts, type Sample } from "./existing-tables";
import { probeAttempts } from "./probes";
import { gone, runAttempts, waited } from "./run";

export interface EffectReport {
  /** How many things were tried by login. */
  readonly attempts: number;
  /** What came out otherwise than the plan says; empty when all is well. */
  readonly violations: readonly Violation[];
  /** Schemas with so many tables that only some were tried. */
  readonly samples: readonly Sample[];
}

/**
 * For a server with data: every tier role logs in and tries its boundaries and the tables there are, rolled back; the
 * catalog answers for what cannot be tried without leaving a trace. Leaves nothing, even when killed.
 * @param roles who tries @default all of them
 */
export async function testEffect(
  plan: Plan,
  target: LoginTarget,
  superuser: ClientBase,
  roles?: readonly string[],
): Promise<EffectReport> {
  return report(plan, target, superuser, () => existingAttempts(plan, superuser), roles);
}

/** For a server of the test's own, where every owner has made both generations of probe objects (createProbes). */
export async function testEffectOnProbes(
  plan: Plan,
  target: LoginTarget,
  superuser: ClientBase,
): Promise<EffectReport> {
  return report(plan, target, superuser, () =>
    Promise.resolve({ attempts: probeAttempts(plan, ["old", "new"]), samples: [] }),
  );
}

/**
 * For a standby of a server with probe objects: whatever may be read on the primary may be read here, and nothing can be
 * written by anybody.
 */
export async function testEffectOnStandby(plan: Plan, target: LoginTarget): Promise<EffectReport> {
  const attempts = probeAttempts(plan, ["old", "new"]).map((attempt) =>
    isRead(attempt.action) ? attempt : { ...attempt, expected: "refused" as const },
  );
  const tried = byWhoLogsIn(plan, attempts);
  return { attempts: tried.length, violations: await runAttempts(target, tried), samples: [] };
}

/** A frozen service's roles try one thing: to log in. */
function byWhoLogsIn(plan: Plan, attempts: readonly Attempt[]): readonly Attempt[] {
  const frozen = frozenRoles(plan);
  const logIn = (role: string): Attempt => ({ role, action: "log in", sql: "SELECT", expected: "denied" });
  return [...attempts.filter(({ role }) => !frozen.includes(role)), ...frozen.map(logIn)];
}

function isRead(action: string): boolean {
  return action.startsWith("SELECT on ") || action.startsWith("EXECUTE on ");
}

/** How often the objects are listed and tried; what is gone then is reported. */
const tries = 3;

/** What all share on a primary: the boundaries are tried and the catalog is asked wherever the test runs. */
async function report(
  plan: Plan,
  target: LoginTarget,
  superuser: ClientBase,
  listOnObjects: () => ReturnType<typeof existingAttempts>,
  roles?: readonly string[],
): Promise<EffectReport> {
  for (let left = tries; ; left--) {
    const onObjects = await listOnObjects();
    const attempts = byWhoLogsIn(plan, [...boundaryAttempts(plan), ...onObjects.attempts]).filter(
      ({ role }) => roles?.includes(role) ?? true,
    );
    const violations = await runAttempts(target, attempts);
    if (left > 1 && violations.some(({ got }) => got === gone || got === waited)) continue;
    return {
      attempts: attempts.length,
      violations: [...violations, ...(await auditViolations(plan, superuser))],
      samples: onObjects.samples,
    };
  }
}

/** An owner's own choices, and what keeps the attempts out of the log: they take nothing from what the plan allows to whom. */
const noRights = ["row security", "security definer", "database setting"];

/** What cannot be tried without leaving a trace, the catalogs say. */
export async function auditViolations(plan: Plan, superuser: ClientBase): Promise<readonly Violation[]> {
  const findings = await audit(plan, superuser, undefined);
  return findings
    .filter(({ kind }) => !noRights.includes(kind))
    .map(({ kind, role, what, expected, found }) => ({ role: role || kind, action: what, expected, got: found }));
}
