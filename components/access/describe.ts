import { escapeLiteral } from "pg";
import { keyWords } from "../../services/key-words";
import type { ObjectType } from "./privileges";
import {
  everybody,
  type PlannedDefaultPrivileges,
  type PlannedGrant,
  type PlannedRevoke,
  type PlannedRoleSetting,
  type Plan,
  type Target,
} from "./plan-items";

/** A name as SQL wants it: bare where PostgreSQL would read it as the same name, else in double quotes. */
export function identifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !keyWords.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A role as a grant names it; PUBLIC is a word, not a name. */
export function grantee(to: string): string {
  return to === everybody ? everybody : identifier(to);
}

const plural: Readonly<Record<ObjectType, string>> = { table: "TABLES", sequence: "SEQUENCES", routine: "ROUTINES" };

/** `ALL TABLES IN SCHEMA gt`, `SCHEMA gt`, `FUNCTION pg_catalog.pg_notify(text, text)`. */
export function describeTarget(on: Target): string {
  switch (on.type) {
    case "database":
      return `DATABASE ${identifier(on.database)}`;
    case "schema":
      return `SCHEMA ${identifier(on.schema)}`;
    case "function":
      return `FUNCTION pg_catalog.${on.signature}`;
    case "view":
      return `TABLE pg_catalog.${on.view}`;
    case "language":
      return `LANGUAGE ${identifier(on.language)}`;
    default:
      return `ALL ${plural[on.type]} IN SCHEMA ${identifier(on.schema)}`;
  }
}

/** The sentence a DBA would say: `SELECT ON ALL TABLES IN SCHEMA gt TO gtuser`. */
export function describeGrant({ privileges, on, to }: PlannedGrant): string {
  return `${privileges.join(", ")} ON ${describeTarget(on)} TO ${grantee(to)}`;
}

/** `EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC`. */
export function describeRevoke({ privileges, on }: PlannedRevoke): string {
  const target = on.type === "every database" ? "EVERY DATABASE" : describeTarget(on);
  return `${privileges.join(", ")} ON ${target} FROM ${everybody}`;
}

/** `FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO gtuser`. */
export function describeDefaultPrivileges(item: PlannedDefaultPrivileges): string {
  const where = item.schema === null ? "" : ` IN SCHEMA ${identifier(item.schema)}`;
  const objects = plural[item.objectType];
  const preposition = item.action === "GRANT" ? "TO" : "FROM";
  const what = `${item.action} ${item.privileges.join(", ")} ON ${objects} ${preposition} ${grantee(item.to)}`;
  return `FOR ROLE ${identifier(item.owner)}${where} ${what}`;
}

/** `gtuser SET lock_timeout = '10s'`. */
export function describeRoleSetting({ role, setting, value }: PlannedRoleSetting): string {
  return `${identifier(role)} SET ${setting} = ${escapeLiteral(value)}`;
}

/** Every sentence of a plan about rights, in plan order. */
export function describePlan(plan: Plan): readonly string[] {
  return [
    ...plan.revokes.map((item) => `REVOKE ${describeRevoke(item)}`),
    ...plan.grants.map((item) => `GRANT ${describeGrant(item)}`),
    ...plan.defaultPrivileges.map((item) => `ALTER DEFAULT PRIVILEGES ${describeDefaultPrivileges(item)}`),
  ];
}
