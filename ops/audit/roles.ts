import { escapeLiteral, type ClientBase } from "pg";
import { identifier } from "../../components/access/describe";
import type { Plan, PlannedRole } from "../../components/access/plan-items";
import { settingsOf } from "../../components/access/role-settings";
import type { Finding } from "./finding";
import { rowsOf } from "./rows";
import { sqlFile } from "./sql-file";

interface Membership {
  readonly role: string;
  readonly grantor: string;
  readonly admin: boolean;
  readonly inherit: boolean;
  readonly set: boolean;
}

interface RoleRow extends Readonly<Record<Attribute, boolean>> {
  readonly name: string;
  readonly connectionLimit: number;
  /** null for ever. */
  readonly validUntil: string | null;
  readonly hasPassword: boolean;
  readonly isScram: boolean;
  readonly settings: readonly { readonly database: string | null; readonly name: string; readonly value: string }[];
  readonly memberships: readonly Membership[];
}

type Attribute = "superuser" | "inherit" | "createrole" | "createdb" | "login" | "replication" | "bypassrls";

/** What the roles are by themselves: attributes, limits, settings, memberships; and who is there that nobody declared. */
export async function auditRoles(plan: Plan, superuser: ClientBase): Promise<readonly Finding[]> {
  const rows = await rowsOf<RoleRow>(superuser, sqlFile("roles"));
  const declared = new Set(plan.roles.map(({ name }) => name));
  return [
    ...plan.roles.flatMap((role) => {
      const row = rows.find(({ name }) => name === role.name);
      return row === undefined
        ? [missing(role)]
        : [...ofRole(role, row), ...settings(plan, row), ...memberships(role, row)];
    }),
    ...rows.filter(({ name }) => !declared.has(name)).map(undeclared),
  ];
}

function missing({ name }: PlannedRole): Finding {
  return {
    kind: "role",
    role: name,
    what: "role",
    expected: "there",
    found: "no such role",
    fix: [],
    byHand: "npm run up (or npm start) makes it, with its password and rights",
  };
}

/** A login nobody reviews; what it owns stays, as the superuser's. */
function undeclared({ name, login }: RoleRow): Finding {
  const role = identifier(name);
  return {
    kind: "undeclared role",
    role: name,
    what: "role",
    expected: "no such role",
    found: login ? "it may log in" : "it is there",
    fix: [`REASSIGN OWNED BY ${role} TO CURRENT_USER`, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`],
    destroys: true,
  };
}

function ofRole(planned: PlannedRole, row: RoleRow): readonly Finding[] {
  const { name } = planned;
  const alter = (what: string, expected: string, found: string, clause: string): Finding => ({
    kind: "role attribute",
    role: name,
    what,
    expected,
    found,
    fix: [`ALTER ROLE ${identifier(name)} ${clause}`],
  });
  const attributes: Readonly<Record<Attribute, boolean>> = {
    superuser: false,
    inherit: true,
    createrole: false,
    createdb: false,
    login: planned.login,
    replication: planned.replication,
    bypassrls: planned.bypassRowSecurity,
  };
  const limit = (value: number) => (value === -1 ? "no limit" : String(value));
  return [
    ...(Object.keys(attributes) as Attribute[])
      .filter((attribute) => attributes[attribute] !== row[attribute])
      .map((attribute) => {
        const word = (has: boolean) => (has ? "" : "NO") + attribute.toUpperCase();
        return alter("attribute", word(attributes[attribute]), word(row[attribute]), word(attributes[attribute]));
      }),
    ...(planned.connectionLimit === row.connectionLimit
      ? []
      : [
          alter(
            "connection limit",
            limit(planned.connectionLimit),
            limit(row.connectionLimit),
            `CONNECTION LIMIT ${planned.connectionLimit}`,
          ),
        ]),
    ...(row.validUntil === null || row.validUntil === "infinity"
      ? []
      : [alter("password valid", "for ever", `until ${row.validUntil}`, "VALID UNTIL 'infinity'")]),
    ...(row.hasPassword && !row.isScram
      ? [
          {
            ...alter("password", "scram-sha-256", "md5", ""),
            fix: [],
            byHand: "its rotation gives it another: services/registry.ts",
          },
        ]
      : []),
  ];
}

function settings(plan: Plan, { name: role, settings: found }: RoleRow): readonly Finding[] {
  const planned = new Map(settingsOf(plan, role));
  const everywhere = new Map(found.filter(({ database }) => database === null).map(({ name, value }) => [name, value]));
  const finding = (what: string, expected: string, got: string, clause: string): Finding => ({
    kind: "role setting",
    role,
    what,
    expected,
    found: got,
    fix: [`ALTER ROLE ${identifier(role)} ${clause}`],
  });
  return [
    ...[...planned]
      .filter(([name, value]) => everywhere.get(name) !== value)
      .map(([name, value]) =>
        finding(
          `setting ${name}`,
          value,
          everywhere.get(name) ?? "not set",
          `SET ${name} = ${settingValue(name, value)}`,
        ),
      ),
    ...found
      .filter(({ database, name }) => database !== null || !planned.has(name))
      .map(({ database, name, value }) => {
        const where = database === null ? "" : ` in database ${database}`;
        const clause = `${database === null ? "" : `IN DATABASE ${identifier(database)} `}RESET ${identifier(name)}`;
        return finding(`setting ${name}${where}`, "not set", value, clause);
      }),
  ];
}

/** A search path is a list of names, not one text. */
function settingValue(name: string, value: string): string {
  return name === "search_path" ? value : escapeLiteral(value);
}

function memberships({ name, memberOf }: PlannedRole, row: RoleRow): readonly Finding[] {
  const finding = (group: string, expected: string, found: string, fix: string): Finding => ({
    kind: "membership",
    role: name,
    what: `member of ${group}`,
    expected,
    found,
    fix: [fix],
  });
  const member = identifier(name);
  return [
    ...memberOf
      .filter((group) => !row.memberships.some(({ role }) => role === group))
      .map((group) => finding(group, "yes", "no", `GRANT ${identifier(group)} TO ${member}`)),
    ...row.memberships.flatMap(({ role, grantor, admin, inherit, set }) => {
      const by = `GRANTED BY ${identifier(grantor)}`;
      if (!memberOf.includes(role)) {
        return [finding(role, "no", `yes, by ${grantor}`, `REVOKE ${identifier(role)} FROM ${member} ${by} CASCADE`)];
      }
      const options = [
        ...(admin
          ? [["with admin option", `REVOKE ADMIN OPTION FOR ${identifier(role)} FROM ${member} ${by} CASCADE`]]
          : []),
        ...(inherit
          ? []
          : [["without inherit option", `GRANT ${identifier(role)} TO ${member} WITH INHERIT TRUE ${by}`]]),
        ...(set ? [] : [["without set option", `GRANT ${identifier(role)} TO ${member} WITH SET TRUE ${by}`]]),
      ];
      return options.map(([found = "", fix = ""]) => finding(role, "yes, as GRANT makes it", found, fix));
    }),
  ];
}
