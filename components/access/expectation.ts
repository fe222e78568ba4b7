import { everybody, type Plan, type PlannedRevoke, type Target } from "./plan-items";
import type { Privilege } from "./privileges";

/**
 * Whether the plan lets `role` use `privilege` on `on`: by a grant to it or to everybody, or because PostgreSQL gives it to
 * everybody and the plan does not take it away. Ownership is not a grant and not counted.
 */
export function isGranted(plan: Plan, role: string, privilege: Privilege, on: Target): boolean {
  const granted = plan.grants.some(
    (grant) =>
      (grant.to === role || grant.to === everybody) && grant.privileges.includes(privilege) && sameTarget(grant.on, on),
  );
  return granted || (isBuiltIn(privilege, on) && !isRevoked(plan, privilege, on));
}

/** What PostgreSQL 16 grants to PUBLIC by itself, as far as a plan speaks of it. */
function isBuiltIn(privilege: Privilege, on: Target): boolean {
  switch (on.type) {
    case "database":
      return privilege === "CONNECT" || privilege === "TEMPORARY";
    case "schema":
      return privilege === "USAGE" && on.schema === "public";
    case "function":
      return privilege === "EXECUTE";
    case "view":
      return privilege === "SELECT" || (privilege === "UPDATE" && on.view === "pg_settings");
    case "language":
      return privilege === "USAGE";
    default:
      return false;
  }
}

function isRevoked(plan: Plan, privilege: Privilege, on: Target): boolean {
  const covers = (item: PlannedRevoke["on"]) =>
    item.type === "every database" ? on.type === "database" : sameTarget(item, on);
  return plan.revokes.some((revoke) => revoke.privileges.includes(privilege) && covers(revoke.on));
}

function sameTarget(a: Target, b: Target): boolean {
  const [fields, others] = [a, b].map((target) => target as unknown as Readonly<Record<string, string>>);
  return fields !== undefined && Object.keys({ ...a, ...b }).every((key) => fields[key] === others?.[key]);
}
