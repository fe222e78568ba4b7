import type { ClientBase } from "pg";
import type { Plan } from "../../components/access/plan-items";
import { database as live } from "../../components/settings-rules";
import { audit } from "../audit/audit";
import { describeFinding, type Finding } from "../audit/finding";
import type { LoginTarget } from "../login-target";

/** What the audit finds where something was restored; that something is kept beside it is no news to who restores. */
export async function auditRestored(
  plan: Plan,
  superuser: ClientBase,
  logins: LoginTarget | undefined,
): Promise<readonly string[]> {
  const findings = await audit(plan, superuser, logins);
  return findings.filter((finding) => !isKept(finding)).map(describeFinding);
}

function isKept({ kind, what }: Finding): boolean {
  if (kind === "undeclared database")
    return what === `database ${live}` || /_(before|restored)_\d{8}t\d{6}$/.test(what);
  return kind === "undeclared schema" && /_before_\d{8}t\d{6}$/.test(what);
}
