import type { ClientBase } from "pg";
import type { Plan } from "../../components/access/plan-items";
import { database as live } from "../../components/settings-rules";
import { keptSchema } from "../../components/access/set-aside";
import { audit } from "../audit/audit";
import { describeFinding, type Finding } from "../audit/finding";
import type { LoginTarget } from "../login-target";
import type { Steps } from "./steps";

/** What the audit finds where something was restored; that something is kept beside it is no news to who restores. */
export async function auditRestored(
  plan: Plan,
  superuser: ClientBase,
  logins: LoginTarget | undefined,
): Promise<readonly string[]> {
  const findings = await audit(plan, superuser, logins);
  return findings.filter((finding) => !isKept(finding)).map(describeFinding);
}

/**
 * What a step says of findings, which stand below it: they may be another service's, which keeps nobody from a restore. Exit status 2
 * as the audit's own.
 */
export function verdict(findings: readonly string[], steps: Steps): string {
  findings.forEach((line) => {
    steps.say(line);
  });
  if (findings.length > 0) process.exitCode = 2;
  return findings.length === 0
    ? "every role may do what the plan says"
    : `${findings.length} findings of the audit, see npm run ops -- audit`;
}

function isKept({ kind, what }: Finding): boolean {
  if (kind === "undeclared database")
    return what === `database ${live}` || /_(before|restored)_\d{8}t\d{6}$/.test(what);
  return kind === "undeclared schema" && new RegExp(keptSchema).test(what);
}
