import { identifier } from "./describe";
import type { Plan, PlannedRole } from "./plan-items";

/** The settings that are attributes of a planned role, as `ALTER ROLE … SET name = value` spells them. */
export function ownSettings(role: PlannedRole): readonly (readonly [name: string, value: string])[] {
  const settings = {
    search_path: role.searchPath?.map(identifier).join(", "),
    statement_timeout: role.statementTimeoutMs?.toString(),
    idle_in_transaction_session_timeout: role.idleInTransactionSessionTimeoutMs?.toString(),
  };
  return Object.entries(settings).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

/** Every setting the plan gives to a role. */
export function settingsOf(plan: Plan, role: string): readonly (readonly [name: string, value: string])[] {
  return [
    ...plan.roles.filter(({ name }) => name === role).flatMap(ownSettings),
    ...plan.roleSettings.filter((item) => item.role === role).map(({ setting, value }) => [setting, value] as const),
  ];
}
