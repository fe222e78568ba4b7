import { createHash } from "node:crypto";
import { escapeLiteral } from "pg";
import { describeDefaultPrivileges, describeGrant, describeRevoke, describeRoleSetting, identifier } from "./describe";
import { carriedBy, frozenRoles, superuserRole, type Plan, type PlannedRole } from "./plan-items";
import { objectTypes, type ObjectType } from "./privileges";
import { ownSettings } from "./role-settings";
import { insert, sqlFile, transaction } from "./statements";

/** SCRAM verifiers by role name (see scramVerifier); a role that is not in it keeps the password it has. */
export type Verifiers = ReadonlyMap<string, string>;

/**
 * The whole plan as one idempotent transaction for a superuser in the plan's database. What the services' schemas and
 * roles have and the plan lacks is revoked; objects and data are never touched.
 */
export function renderPlan(plan: Plan, verifiers: Verifiers): string {
  const endFrozen = endFrozenSessions(plan);
  // First, and for good: whoever comes back while this is applied must find the door shut.
  const first = endFrozen.length === 0 ? "" : transaction(shutOut(plan), endFrozen);
  const whole = transaction(
    [
      ...endFrozen,
      ...existingRoles(plan),
      ...plan.schemas.flatMap(({ name, owner }) => [
        `CREATE SCHEMA IF NOT EXISTS ${identifier(name)}`,
        `ALTER SCHEMA ${identifier(name)} OWNER TO ${identifier(owner)}`,
      ]),
      ...plan.roles.flatMap((role) => roleStatements(role, verifiers.get(role.name))),
      ...roleSettings(plan),
      sqlFile("refused-objects"),
      sqlFile("guard"),
      sqlFile("passwords"),
      ...access(plan),
      ...plannedAccess(plan),
      sqlFile("grant-planned"),
      sqlFile("revoke-unplanned"),
      sqlFile("revoke-functions"),
    ],
    endFrozen,
  );
  return first + whole;
}

/**
 * The roles that belong to no service and log in, and the superuser's password, as one idempotent transaction; frozen services are
 * shut out before the provider changes their roles.
 */
export function renderLogins(plan: Plan, verifiers: Verifiers): string {
  const mine = carriedBy(plan, "logins");
  const verifier = verifiers.get(superuserRole);
  const logins = transaction([
    ...existingRoles(mine),
    ...mine.roles.flatMap((role) => roleStatements(role, verifiers.get(role.name))),
    ...shutOut(plan),
    ...(verifier === undefined ? [] : [`ALTER ROLE ${superuserRole} PASSWORD ${escapeLiteral(verifier)}`]),
    ...superuserSettings.map(
      (setting) => `ALTER ROLE ${superuserRole} IN DATABASE ${identifier(plan.database)} SET ${setting}`,
    ),
  ]);
  return [logins, ...endFrozenSessions(plan).map((statement) => `${statement};\n`)].join("");
}

/** For whatever the platform does as the superuser, the provider too. */
const superuserSettings = [
  // The provider locks the number of a role before it changes it, and would wait for ever for an owner that has it.
  "lock_timeout = '60s'",
  // Its statements have verifiers, and a role can make them wait, or fail.
  "log_min_duration_statement = -1",
  "log_min_error_statement = 'panic'",
];

/** The part of the plan every service stands on, guard included, as one idempotent transaction for a superuser. */
export function renderFoundation(plan: Plan): string {
  const mine = carriedBy(plan, "foundation");
  return transaction([
    ...existingRoles(mine),
    ...mine.schemas.map(({ name }) => `CREATE SCHEMA IF NOT EXISTS ${identifier(name)}`),
    ...mine.roles.flatMap((role) => roleStatements(role, undefined)),
    sqlFile("refused-objects"),
    sqlFile("guard"),
    sqlFile("passwords"),
    ...access(mine),
  ]);
}

/** What the provider cannot grant to the services' roles, as one idempotent transaction for a superuser. */
export function renderTiers(plan: Plan): string {
  const mine = carriedBy(plan, "tiers");
  return transaction([
    ...roleSettings(mine),
    sqlFile("planned"),
    insert("planned_role", roleRows(plan)),
    insert("planned_use", useRows(plan)),
    sqlFile("close-reads"),
    ...access(mine),
    ...plannedAccess(mine),
    sqlFile("revoke-functions"),
  ]);
}

/**
 * Notes since when each role has its password, as a transaction for a superuser.
 * @param verifiers what the stack has given them; of services' roles that are not in it the notes stay as they are
 */
export function renderPasswordNotes(verifiers: Verifiers): string {
  const given = [...verifiers].map(([role, verifier]) => [role, fingerprint(verifier)]);
  return [
    "BEGIN",
    "CREATE TEMP TABLE given_password (role name PRIMARY KEY, fingerprint text NOT NULL) ON COMMIT DROP",
    insert("given_password", given),
    `${sqlFile("note-passwords")}COMMIT;\n`,
  ].join(";\n");
}

const fingerprint = (verifier: string) => createHash("sha256").update(verifier).digest("hex");

/** What roles have as their settings, a row for each and each database: `FoundSettings` of components/lifecycle/own-settings.ts. */
export function ownSettingsQuery(): string {
  return sqlFile("own-settings");
}

/** Statements that set roles' own settings back, as one transaction for a superuser: whoever holds its own role's row is ended. */
export function renderSettingsBack(statements: readonly string[]): string {
  return transaction(statements);
}

/** Whatever they hold that this transaction needs, the catalogs too. All at once: while one is waited for, others would come back. */
function endFrozenSessions(plan: Plan): string[] {
  const roles = frozenRoles(plan).map((role) => escapeLiteral(role));
  return roles.length === 0
    ? []
    : [
        // The logins of a restore too, which are the owner's.
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE split_part(usename::text, '_restore_', 1) IN (${roles.join(", ")})`,
      ];
}

/** Roles of frozen services that are there: no login from now on, and the settings of the plan. */
function shutOut(plan: Plan): string[] {
  const frozen = frozenRoles(plan);
  const ofFrozen = plan.roleSettings.filter(({ role }) => frozen.includes(role));
  const rows = [
    ...plan.roles
      .filter(({ name }) => frozen.includes(name))
      .flatMap((role) => ownSettings(role).map(([setting, value]) => [role.name, setting, value])),
    ...ofFrozen.map(({ role, setting, value }) => [role, setting, escapeLiteral(value)]),
  ];
  return rows.length === 0 ? [] : [sqlFile("frozen-roles"), insert("frozen_role", rows), sqlFile("shut-out")];
}

function existingRoles(plan: Plan): string[] {
  return [sqlFile("planned"), insert("planned_role", roleRows(plan)), sqlFile("create-roles")];
}

/** Of the services' schemas and roles. */
function useRows({ grants, services, roles }: Plan): string[][] {
  const isServices = (role: string) => roles.some(({ name, of }) => name === role && of !== null);
  return grants.flatMap(({ on, to }) =>
    on.type === "schema" && isServices(to) && services.some(({ code }) => code === on.schema) ? [[on.schema, to]] : [],
  );
}

function roleRows(plan: Plan): string[][] {
  return plan.roles.map(({ name }) => [name]);
}

function access(plan: Plan): string[] {
  return [
    ...plan.extensions.map(
      ({ name, schema }) => `CREATE EXTENSION IF NOT EXISTS ${identifier(name)} SCHEMA ${identifier(schema)}`,
    ),
    ...plan.revokes.map((item) =>
      item.on.type === "every database" ? sqlFile("revoke-databases") : `REVOKE ${describeRevoke(item)}`,
    ),
    // On all objects of a schema: where they are missing, see grant-planned.sql.
    ...plan.grants
      .filter(({ on }) => !objectTypes.some((type) => type === on.type))
      .map((item) => `GRANT ${describeGrant(item)}`),
    ...plan.defaultPrivileges.map((item) => `ALTER DEFAULT PRIVILEGES ${describeDefaultPrivileges(item)}`),
  ];
}

function roleStatements(role: PlannedRole, verifier: string | undefined): string[] {
  const name = identifier(role.name);
  const attributes = [
    ...["NOSUPERUSER", "NOCREATEDB", "NOCREATEROLE", "INHERIT"],
    role.replication ? "REPLICATION" : "NOREPLICATION",
    role.bypassRowSecurity ? "BYPASSRLS" : "NOBYPASSRLS",
  ];
  const login = role.login ? "LOGIN" : "NOLOGIN";
  const password = verifier === undefined ? "" : ` PASSWORD ${escapeLiteral(verifier)}`;
  return [
    `ALTER ROLE ${name} ${attributes.join(" ")} ${login} CONNECTION LIMIT ${role.connectionLimit}${password}`,
    `ALTER ROLE ${name} RESET ALL`,
    ...ownSettings(role).map(([setting, value]) => `ALTER ROLE ${name} SET ${setting} = ${value}`),
    ...role.memberOf.map((group) => `GRANT ${identifier(group)} TO ${name}`),
  ];
}

function roleSettings(plan: Plan): string[] {
  return plan.roleSettings.map((item) => `ALTER ROLE ${describeRoleSetting(item)}`);
}

const defaultAclType: Readonly<Record<ObjectType, string>> = { table: "r", sequence: "S", routine: "f" };

/** The plan's rights as rows, for the comparison with what the server has. */
function plannedAccess(plan: Plan): string[] {
  return [
    insert(
      "planned_schema",
      plan.schemas.map(({ name }) => [name, String(plan.services.some(({ code }) => code === name))]),
    ),
    insert(
      "planned_membership",
      plan.roles.flatMap(({ name, memberOf }) => memberOf.map((group) => [group, name])),
    ),
    insert(
      "planned_privilege",
      plan.grants.flatMap(({ privileges, on, to }) => {
        if (on.type === "language" || on.type === "view") return [];
        const name = on.type === "database" ? on.database : on.type === "function" ? on.signature : on.schema;
        return privileges.map((privilege) => [on.type, name, to, privilege]);
      }),
    ),
    insert(
      "planned_default_privilege",
      plan.defaultPrivileges.flatMap(({ action, owner, schema, objectType, privileges, to }) =>
        (action === "GRANT" ? privileges : []).map((privilege) => [
          owner,
          schema ?? "",
          defaultAclType[objectType],
          to,
          privilege,
        ]),
      ),
    ),
  ].filter((statement) => statement !== "");
}

/** The guard's statements, each file a list of them. */
export function guardFiles(): readonly string[] {
  return ["refused-objects", "guard"].map(sqlFile);
}
