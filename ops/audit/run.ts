import { planAccess } from "../../components/access/plan";
import { database } from "../../components/settings-rules";
import { readRegistry } from "../registry-file";
import type { Stack } from "../stack-file";
import { audit } from "./audit";
import type { Finding } from "./finding";
import { open, type AuditTarget } from "./target";

/**
 * A running server compared with what a stack's registry and settings mean.
 * @throws OperatorError where it could not look
 */
export async function runAudit(stack: Stack, target: AuditTarget): Promise<readonly Finding[]> {
  const plan = planAccess(await readRegistry(stack.settings), { database, extensions: stack.settings.extensions });
  await open(target);
  return audit(plan, target.superuser, target.logins).finally(() => target.superuser.end());
}
