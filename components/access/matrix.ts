import { tierRole, type Tier } from "../../services/service";
import { grantee, identifier } from "./describe";
import {
  dumpRole,
  everybody,
  platformSchema,
  type Plan,
  type PlannedDefaultPrivileges,
  type Target,
} from "./plan-items";
import type { ObjectType } from "./privileges";
import { settingsOf } from "./role-settings";

/**
 * Where a right comes from: `owner` and `grant` of the object, `default` for what is created later, `member` of a role,
 * `taken` from everybody who had it by PostgreSQL's own default. With `… to ROLE` or `member of ROLE` it is that role's.
 */
export type Source = string;

/** What one role may do on one object, from one source. */
export interface AccessRow {
  /** {@link everybody} for PUBLIC. */
  readonly role: string;
  /** In PostgreSQL's words: `table`, `schema`, `function`, `future tables`, … */
  readonly type: string;
  /** With its schema: `gt.gt_raw_data`; of what is created later, whose and where: `gtown in schema gt`. */
  readonly name: string;
  readonly source: Source;
  /** In the order people name them: {@link privilegeOrder}. */
  readonly privileges: readonly string[];
  /** `WITH GRANT OPTION` */
  readonly grantable: boolean;
}

/** A role, and what it is by itself. */
export interface RoleRow {
  readonly role: string;
  /** Name of its service; null for the platform's own roles. */
  readonly service: string | null;
  /** null for the platform's own roles. */
  readonly tier: Tier | null;
  /** `LOGIN`, `REPLICATION`, `BYPASSRLS`, `SUPERUSER`, … it has. */
  readonly attributes: readonly string[];
  /** -1 for none. */
  readonly connectionLimit: number;
  /** `name=value`, alphabetically. */
  readonly settings: readonly string[];
}

export interface AccessMatrix {
  readonly roles: readonly RoleRow[];
  readonly access: readonly AccessRow[];
}

const tablePrivileges = ["DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"];
const future: Readonly<Record<ObjectType, string>> = {
  table: "future tables",
  sequence: "future sequences",
  routine: "future routines",
};
/** What everybody may read by the role pg_read_all_data, beside the services' tables. */
const platformRelations = [
  ["table", `${platformSchema}.password`],
  ["view", `${platformSchema}.pg_stat_statements`],
  ["view", `${platformSchema}.pg_stat_statements_info`],
] as const;
/** Every database of a fresh server that accepts connections, beside the plan's. */
const otherDatabases = ["postgres", "template1"];

/** The matrix a plan means where every service's owner has made its example tables. Pure. */
export function predictMatrix(plan: Plan): AccessMatrix {
  const tablesOf = (schema: string) =>
    plan.services
      .filter(({ code }) => code === schema)
      .flatMap(({ tables }) => tables.map((name) => `${schema}.${name}`));
  const row = (role: string, type: string, name: string, source: Source, privileges: readonly string[]): AccessRow => ({
    ...{ role, type, name, source, privileges, grantable: false },
  });
  const on = (target: Target): (readonly [type: string, name: string])[] => {
    switch (target.type) {
      case "database":
        return [["database", identifier(target.database)]];
      case "schema":
        return [["schema", identifier(target.schema)]];
      case "function":
        return [["function", `pg_catalog.${target.signature}`]];
      case "view":
        return [["view", `pg_catalog.${target.view}`]];
      case "language":
        return [["language", identifier(target.language)]];
      case "table":
        return tablesOf(target.schema).map((name) => ["table", name] as const);
      default:
        return []; // The example is tables; what is created later stands in its own rows.
    }
  };
  return {
    roles: plan.roles.map(({ name, of, login, replication, bypassRowSecurity, connectionLimit }) => ({
      role: name,
      service: of?.service ?? null,
      tier: of?.tier ?? null,
      attributes: [
        ...(bypassRowSecurity ? ["BYPASSRLS"] : []),
        ...(login ? ["LOGIN"] : []),
        ...(replication ? ["REPLICATION"] : []),
      ],
      connectionLimit,
      settings: settingsOf(plan, name)
        .map(([setting, value]) => `${setting}=${value}`)
        .sort(),
    })),
    access: inOrder(plan, [
      ...plan.schemas
        .filter(({ owner }) => plan.roles.some(({ name }) => name === owner))
        .map(({ name, owner }) => row(owner, "schema", identifier(name), "owner", ["CREATE", "USAGE"])),
      ...plan.services.flatMap(({ code }) =>
        tablesOf(code).map((name) => row(tierRole(code, "owner"), "table", name, "owner", tablePrivileges)),
      ),
      ...plan.grants.flatMap(({ privileges, on: target, to }) =>
        on(target).map(([type, name]) => row(to, type, name, "grant", privileges)),
      ),
      ...plan.defaultPrivileges.map((item) =>
        item.action === "GRANT"
          ? row(item.to, future[item.objectType], futureName(item), "default", item.privileges)
          : row(everybody, future[item.objectType], futureName(item), "taken", item.privileges),
      ),
      ...plan.revokes.flatMap(({ privileges, on: target }) =>
        target.type === "every database"
          ? [plan.database, ...otherDatabases].map((name) =>
              row(everybody, "database", identifier(name), "taken", privileges),
            )
          : on(target).map(([type, name]) =>
              // CREATE on schema public is nobody's since PostgreSQL 15.
              row(everybody, type, name, "taken", type === "schema" ? ["USAGE"] : privileges),
            ),
      ),
      ...plan.roles.flatMap(({ name, memberOf }) =>
        memberOf.map((group) => row(name, "role", group, "member", ["INHERIT", "SET"])),
      ),
      ...[
        ...[...plan.schemas.map(({ name }) => name), "public"].map(
          (name) => ["schema", identifier(name), "USAGE"] as const,
        ),
        ...plan.services.flatMap(({ code }) => tablesOf(code)).map((name) => ["table", name, "SELECT"] as const),
        ...platformRelations.map(([type, name]) => [type, name, "SELECT"] as const),
      ].map(([type, name, privilege]) => row(dumpRole, type, name, "member of pg_read_all_data", [privilege])),
    ]),
  };
}

function futureName({ owner, schema }: PlannedDefaultPrivileges): string {
  return schema === null ? identifier(owner) : `${identifier(owner)} in schema ${identifier(schema)}`;
}

const types = ["role", "database", "schema", "table", "view", "materialized view", "sequence"];

/** One row for each role, object and source; roles as the plan has them, everybody last. */
export function inOrder(plan: Plan, rows: readonly AccessRow[]): readonly AccessRow[] {
  const merged = new Map<string, AccessRow>();
  for (const row of rows) {
    const key = [row.role, row.type, row.name, row.source, row.grantable].join("\0");
    const privileges = new Set([...(merged.get(key)?.privileges ?? []), ...row.privileges]);
    merged.set(key, { ...row, privileges: [...privileges].sort(byPrivilege) });
  }
  const place = (values: readonly string[], value: string) =>
    values.includes(value) ? values.indexOf(value) : Infinity;
  const roles = plan.roles.map(({ name }) => name);
  const rank = (row: AccessRow) => [place(roles, row.role), place(types, row.type)] as const;
  return [...merged.values()].sort((a, b) => {
    const [[roleA, typeA], [roleB, typeB]] = [rank(a), rank(b)];
    if (roleA !== roleB) return roleA - roleB;
    if (typeA !== typeB) return typeA - typeB;
    return compare(`${a.type} ${a.name} ${a.source}`, `${b.type} ${b.name} ${b.source}`);
  });
}

/** As PostgreSQL's manual lists them; others after these. */
const privilegeOrder = [
  ...["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE", "CREATE", "CONNECT"],
  ...["TEMPORARY", "EXECUTE", "SET", "ALTER SYSTEM", "INHERIT", "ADMIN"],
];

function byPrivilege(a: string, b: string): number {
  const place = (privilege: string) =>
    privilegeOrder.includes(privilege) ? privilegeOrder.indexOf(privilege) : privilegeOrder.length;
  return place(a) - place(b) || compare(a, b);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The sentence behind a right, in PostgreSQL's words: `GRANT SELECT ON TABLE gt.gt_raw_data TO gtuser`. */
export function describeSource({ role, type, name, source, privileges, grantable }: AccessRow): string {
  const may = privileges.join(", ");
  const option = grantable ? " WITH GRANT OPTION" : "";
  const [kind, via] = source.split(" to ");
  if (source === "owner") return `owner of ${type} ${name}`;
  if (via !== undefined) {
    return `member of ${via}: ${kind === "owner" ? `owner of ${type} ${name}` : `GRANT ${may} ON ${type.toUpperCase()} ${name} TO ${via}${option}`}`;
  }
  if (source === "member")
    return `GRANT ${name} TO ${grantee(role)}${privileges.includes("ADMIN") ? " WITH ADMIN OPTION" : ""}`;
  if (source.startsWith("member of ")) return source;
  const objects = type.replace("future ", "").toUpperCase();
  if (type.startsWith("future ")) {
    const where = `FOR ROLE ${name.replace(" in schema ", " IN SCHEMA ")}`;
    return source === "taken"
      ? `ALTER DEFAULT PRIVILEGES ${where} REVOKE ${may} ON ${objects} FROM ${everybody}`
      : `ALTER DEFAULT PRIVILEGES ${where} GRANT ${may} ON ${objects} TO ${grantee(role)}${option}`;
  }
  return source === "taken"
    ? `REVOKE ${may} ON ${objects} ${name} FROM ${everybody}`
    : `GRANT ${may} ON ${objects} ${name} TO ${grantee(role)}${option}`;
}
