import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientBase } from "pg";
import { isGranted } from "../../components/access/expectation";
import type { Plan, Target } from "../../components/access/plan-items";
import { revokedFunctions, type ObjectType, type Privilege } from "../../components/access/privileges";
import { settingsOf } from "../../components/access/role-settings";
import { tierRole } from "../../services/service";
import type { Attempt, Violation } from "./attempt";

interface HeldRow {
  readonly role: string;
  readonly type: "schema" | "language" | ObjectType;
  readonly schema: string;
  readonly object: string;
  readonly held: readonly string[];
}

/**
 * What the catalog says the tier roles hold, compared with the plan: on every object there is, and by default
 * privileges on every object to come. A superuser's question to pg_catalog only: no service's relation is read.
 */
export async function catalogViolations(plan: Plan, superuser: ClientBase): Promise<readonly Violation[]> {
  return [
    ...(await heldViolations(plan, superuser)),
    ...(await defaultPrivilegeViolations(plan, superuser)),
    ...(await prefixViolations(plan, superuser)),
    ...(await platformRoleViolations(plan, superuser)),
    ...(await platformFunctionViolations(plan, superuser)),
    ...(await roleSettingViolations(plan, superuser)),
    ...(await refusedObjectViolations(superuser)),
  ];
}

/**
 * Attempts on the tables that exist. LOCK TABLE asks for the same privileges as reading and writing and runs nothing:
 * planning an INSERT would already run the functions in a table's defaults, policies and rules as whoever tries.
 */
export async function existingAttempts(plan: Plan, superuser: ClientBase): Promise<readonly Attempt[]> {
  const { rows } = await superuser.query<{ schema: string; name: string }>(sql("existing-tables"), [
    plan.services.map(({ code }) => code),
  ]);
  const modes: readonly (readonly [mode: string, anyOf: readonly Privilege[]])[] = [
    ["ACCESS SHARE", ["SELECT", "UPDATE", "DELETE"]],
    ["ROW EXCLUSIVE", ["INSERT", "UPDATE", "DELETE"]],
  ];
  const tierRoles = plan.roles.filter(({ of }) => of !== null);
  return tierRoles.flatMap(({ name: role }) =>
    rows.flatMap(({ schema, name }) =>
      role === tierRole(schema, "owner") // ownership needs no proof
        ? []
        : modes.map(([mode, anyOf]): Attempt => {
            const usage = isGranted(plan, role, "USAGE", { type: "schema", schema });
            const may = usage && anyOf.some((privilege) => isGranted(plan, role, privilege, { type: "table", schema }));
            return {
              role,
              action: `LOCK ${name} IN ${mode} MODE`,
              sql: `LOCK TABLE ONLY ${name} IN ${mode} MODE NOWAIT`,
              expected: may ? "allowed" : "denied",
            };
          }),
    ),
  );
}

async function heldViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const roles = plan.roles.filter(({ of }) => of !== null).map(({ name }) => name);
  const schemas = plan.services.map(({ code }) => code);
  const { rows } = await superuser.query<HeldRow>(sql("privileges"), [
    roles,
    [...schemas, "public", "extensions", "platform"],
  ]);
  return rows.flatMap(({ role, type, schema, object, held }) => {
    const on: Target = type === "language" ? { type, language: object } : { type, schema };
    return privilegesOf[type].flatMap((privilege) => {
      // Schemas without services hold what extensions bring, with PostgreSQL's own privileges.
      if (!schemas.includes(schema) && type !== "schema" && type !== "language") return [];
      const expected = isGranted(plan, role, privilege as Privilege, on);
      const got = held.includes(privilege);
      const action = `${privilege} on ${type} ${type === "table" || type === "sequence" ? `${schema}.` : ""}${object}`;
      return expected === got ? [] : [{ role, action, expected: word(expected), got: word(got) }];
    });
  });
}

/** Relations without their prefix: the guard sees every way to make one but EXPLAIN ANALYZE. */
async function prefixViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const { rows } = await superuser.query<{ owner: string; schema: string; name: string }>(sql("misnamed-relations"), [
    plan.services.map(({ code }) => code),
  ]);
  return rows.map(({ owner, schema, name }) => ({
    role: owner,
    action: name,
    expected: `the prefix ${schema}_`,
    got: "none",
  }));
}

interface PlatformRoleRow extends Readonly<
  Record<"connect" | "powerful" | "replication" | "bypassRowSecurity", boolean>
> {
  readonly role: string;
  readonly memberOf: readonly string[];
}

/** The platform's own logins: whoever runs the test need not have their passwords. */
async function platformRoleViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const planned = plan.roles.filter(({ of, login }) => of === null && login);
  const { rows } = await superuser.query<PlatformRoleRow>(sql("platform-roles"), [planned.map(({ name }) => name)]);
  const on: Target = { type: "database", database: plan.database };
  return planned.flatMap(({ name: role, replication, bypassRowSecurity, memberOf }): Violation[] => {
    const found = rows.find((row) => row.role === role);
    if (found === undefined) return [{ role, action: "log in", expected: "allowed", got: "no such role" }];
    const expected = { connect: isGranted(plan, role, "CONNECT", on), powerful: false, replication, bypassRowSecurity };
    const wrong = (Object.keys(expected) as (keyof typeof expected)[]).filter((key) => expected[key] !== found[key]);
    const groups = [...memberOf].sort().join(", ");
    return [
      ...wrong.map((key) => ({ role, action: key, expected: word(expected[key]), got: word(found[key]) })),
      ...(groups === found.memberOf.join(", ")
        ? []
        : [
            {
              role,
              action: "be a member",
              expected: `of ${groups || "nothing"}`,
              got: found.memberOf.join(", ") || "nothing",
            },
          ]),
    ];
  });
}

/** Functions taken from PUBLIC: pg_dump needs some of them, and the platform's other logins none. */
async function platformFunctionViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const roles = plan.roles.filter(({ of, login }) => of === null && login).map(({ name }) => name);
  const signatures = revokedFunctions.flatMap(({ functions }) => functions);
  const { rows } = await superuser.query<{ role: string; signature: string; may: boolean }>(sql("platform-functions"), [
    roles,
    signatures,
  ]);
  return rows.flatMap(({ role, signature, may }) => {
    const expected = isGranted(plan, role, "EXECUTE", { type: "function", signature });
    const action = `EXECUTE ${signature}`;
    return expected === may ? [] : [{ role, action, expected: word(expected), got: word(may) }];
  });
}

/** What the guard refuses, where it came in before the guard or past it. */
async function refusedObjectViolations(superuser: ClientBase): Promise<Violation[]> {
  const { rows } = await superuser.query<{ kind: string; name: string; uses: string }>(
    "SELECT kind, name, uses FROM platform.refused_objects() ORDER BY 1, 2, 3",
  );
  return rows.map(({ kind, name, uses }) => ({
    role: "the guard",
    action: `${kind} ${name}`,
    expected: "refused",
    got: `uses ${uses}`,
  }));
}

/** Settings of the tier roles: a role may change most of its own, and what it changed outlives its next password. */
async function roleSettingViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const roles = plan.roles.filter(({ of }) => of !== null).map(({ name }) => name);
  const { rows } = await superuser.query<{ role: string; database: string | null; setting: string }>(
    sql("role-settings"),
    [roles],
  );
  return roles.flatMap((role) => {
    const planned = settingsOf(plan, role).map(([name, value]) => `${name}=${value}`);
    const found = rows
      .filter((row) => row.role === role)
      .map(({ database, setting }) => (database === null ? setting : `${setting} in database ${database}`));
    const violation = (setting: string, expected: boolean): Violation => ({
      role,
      action: `setting ${setting}`,
      expected: expected ? "set" : "not set",
      got: expected ? "not set" : "set",
    });
    return [
      ...planned.filter((setting) => !found.includes(setting)).map((setting) => violation(setting, true)),
      ...found.filter((setting) => !planned.includes(setting)).map((setting) => violation(setting, false)),
    ];
  });
}

const privilegesOf: Readonly<Record<HeldRow["type"], readonly string[]>> = {
  schema: ["USAGE", "CREATE"],
  table: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"],
  sequence: ["USAGE", "SELECT", "UPDATE"],
  routine: ["EXECUTE"],
  language: ["USAGE"],
};

const aclTypes: Readonly<Record<string, ObjectType>> = { r: "table", S: "sequence", f: "routine" };

async function defaultPrivilegeViolations(plan: Plan, superuser: ClientBase): Promise<Violation[]> {
  const owners = plan.services.map(({ code }) => tierRole(code, "owner"));
  const { rows } = await superuser.query<Record<"owner" | "schema" | "type" | "privilege" | "grantee", string>>(
    sql("default-privileges"),
    [owners],
  );
  const line = (owner: string, schema: string, type: string, privilege: string, to: string) =>
    `${to}\0${privilege} on every future ${type} of ${owner}${schema === "" ? "" : ` in schema ${schema}`}`;
  const found = new Set(
    rows.map((row) => line(row.owner, row.schema, aclTypes[row.type] ?? row.type, row.privilege, row.grantee)),
  );
  const planned = new Set(
    plan.defaultPrivileges.flatMap(({ action, owner, schema, objectType, privileges, to }) =>
      (action === "GRANT" ? privileges : []).map((privilege) => line(owner, schema ?? "", objectType, privilege, to)),
    ),
  );
  const violation = (key: string, expected: boolean): Violation => {
    const [role = "", action = ""] = key.split("\0");
    return { role, action, expected: word(expected), got: word(!expected) };
  };
  return [
    ...[...planned].filter((key) => !found.has(key)).map((key) => violation(key, true)),
    ...[...found].filter((key) => !planned.has(key)).map((key) => violation(key, false)),
  ];
}

function word(allowed: boolean): string {
  return allowed ? "allowed" : "denied";
}

function sql(name: string): string {
  return readFileSync(join(__dirname, `${name}.sql`), "utf8");
}
