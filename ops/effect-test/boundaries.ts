import { isGranted } from "../../components/access/expectation";
import { extensionsSchema, platformSchema, type Plan } from "../../components/access/plan-items";
import { revokedFunctions, revokedViews } from "../../components/access/privileges";
import { tierRole, type Tier } from "../../services/service";
import type { Attempt, Outcome } from "./attempt";

/**
 * What every tier role tries outside tables: making objects everywhere, granting, TEMP, functions and languages taken
 * from PUBLIC, other roles, other databases. Needs no objects and leaves nothing, even when killed in the middle. What is
 * PostgreSQL's own is named with its schema: a role's own search_path may have another in front.
 */
export function boundaryAttempts(plan: Plan): readonly Attempt[] {
  return plan.roles.flatMap(({ name: role, of }) => {
    if (of === null) return [];
    const own = plan.services.find(({ name }) => name === of.service);
    if (own === undefined) return [];
    const attempt = (action: string, sql: string, expected: Outcome | boolean): Attempt => ({
      role,
      action,
      sql,
      expected: expected === true ? "allowed" : expected === false ? "denied" : expected,
    });
    const schemas = [...plan.services.map(({ code }) => code), "public", extensionsSchema, platformSchema];
    return [
      ...schemas.map((schema) =>
        attempt(
          `CREATE TABLE in schema ${schema}`,
          `CREATE TABLE ${schema}.${schema}_probe_boundary ()`,
          isGranted(plan, role, "CREATE", { type: "schema", schema }),
        ),
      ),
      ...ownSchema(own.code, of.tier, attempt),
      ...grants(own.code, role, attempt),
      ...otherRoles(plan, role, attempt),
      ...functionsAndLanguages(plan, role, attempt),
      ...otherDatabases(plan, role),
      attempt("CREATE TEMP TABLE", "CREATE TEMP TABLE probe_temp ()", false),
      attempt("CREATE SCHEMA", "CREATE SCHEMA probe_schema", false),
      attempt("CREATE EXTENSION", "CREATE EXTENSION tablefunc", false),
      attempt("NOTIFY", "NOTIFY probe", true),
      attempt("DROP EVENT TRIGGER", "DROP EVENT TRIGGER refuse_commands", false),
      attempt("SET of a superuser's setting", "SET log_statement = 'none'", false),
      attempt("SET of its temp_file_limit", "SET temp_file_limit = -1", false),
      attempt("read pg_authid", "SELECT FROM pg_catalog.pg_authid", false),
      attempt("COPY to a program", "COPY (SELECT 1) TO PROGRAM 'true'", false),
    ];
  });
}

type Try = (action: string, sql: string, expected: Outcome | boolean) => Attempt;

function ownSchema(code: string, tier: Tier, attempt: Try): Attempt[] {
  const isOwner = tier === "owner";
  const misnamed = isOwner ? "refused by the guard" : "denied";
  return [
    attempt("CREATE TABLE without a schema", `CREATE TABLE ${code}_probe_boundary ()`, isOwner),
    attempt("CREATE TABLE without the prefix", "CREATE TABLE probe_boundary ()", misnamed),
    attempt("CREATE VIEW without the prefix", "CREATE VIEW probe_boundary AS SELECT 1 AS one", misnamed),
    attempt("CREATE FUNCTION", `CREATE FUNCTION ${code}_probe() RETURNS integer LANGUAGE sql RETURN 1`, isOwner),
    // Only to an owner it already has; DROP SCHEMA would wait for whoever is making something in it.
    attempt("ALTER SCHEMA OWNER", `ALTER SCHEMA ${code} OWNER TO CURRENT_USER`, false),
    attempt("ALTER SCHEMA RENAME", `ALTER SCHEMA ${code} RENAME TO ${code}x`, false),
  ];
}

function grants(code: string, role: string, attempt: Try): Attempt[] {
  return [
    attempt("GRANT on its schema", `GRANT USAGE ON SCHEMA ${code} TO PUBLIC`, false),
    attempt("REVOKE on its schema", `REVOKE USAGE ON SCHEMA ${code} FROM ${tierRole(code, "app")}`, false),
    attempt("ALTER DEFAULT PRIVILEGES", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", false),
    attempt("DROP OWNED", `DROP OWNED BY ${role}`, false),
    attempt("GRANT of its own role", `GRANT ${role} TO ${tierRole(code, "user")}`, false),
    attempt("ALTER ROLE CREATEDB", `ALTER ROLE ${role} CREATEDB`, false),
    attempt("ALTER ROLE CONNECTION LIMIT", `ALTER ROLE ${role} CONNECTION LIMIT 100`, false),
  ];
}

function otherRoles(plan: Plan, role: string, attempt: Try): Attempt[] {
  return ["postgres", ...plan.roles.map(({ name }) => name)].flatMap((name) => [
    attempt(`SET ROLE ${name}`, `SET ROLE ${name}`, name === role),
    ...(name === role ? [] : [attempt(`REASSIGN OWNED to ${name}`, `REASSIGN OWNED BY ${role} TO ${name}`, false)]),
  ]);
}

function functionsAndLanguages(plan: Plan, role: string, attempt: Try): Attempt[] {
  // Strict functions do nothing with NULL. It comes from a subquery: PostgreSQL would fold a NULL constant away without
  // looking at the right to execute.
  const call = (signature: string): string => {
    const [, name = "", types = ""] = /^(\w+)\((.*)\)$/.exec(signature) ?? [];
    // Not strict: it wants a name.
    if (name === "set_config") return "SELECT pg_catalog.set_config('application_name', '', true)";
    const values = types === "" ? [] : types.split(", ").map((type) => `(SELECT NULL::${builtIn(type)})`);
    return `SELECT pg_catalog.${name}(${values.join(", ")})`;
  };
  const revokes = revokedFunctions.flatMap(({ functions }) => functions);
  return [
    ...revokes.map((signature) =>
      attempt(
        `EXECUTE ${signature}`,
        call(signature),
        isGranted(plan, role, "EXECUTE", { type: "function", signature }),
      ),
    ),
    ...revokedViews.map((view) =>
      attempt(
        `SELECT on pg_catalog.${view}`,
        `SELECT FROM pg_catalog.${view} LIMIT 0`,
        isGranted(plan, role, "SELECT", { type: "view", view }),
      ),
    ),
    attempt(
      "UPDATE on pg_catalog.pg_settings",
      "UPDATE pg_catalog.pg_settings SET setting = setting WHERE false",
      isGranted(plan, role, "UPDATE", { type: "view", view: "pg_settings" }),
    ),
    attempt("DO", "DO 'BEGIN END'", isGranted(plan, role, "USAGE", { type: "language", language: "plpgsql" })),
  ];
}

/** A type where no path is asked for it: the words of SQL's own types are no names that are looked up. */
function builtIn(type: string): string {
  return /^(boolean|integer|bigint|double precision)$/.test(type) ? type : `pg_catalog.${type}`;
}

function otherDatabases(plan: Plan, role: string): Attempt[] {
  return [plan.database, "postgres", "template1"].map((database) => ({
    role,
    action: `CONNECT to ${database}`,
    sql: "SELECT",
    // Only the plan's own database is granted to anybody.
    expected: isGranted(plan, role, "CONNECT", { type: "database", database }) ? "allowed" : "denied",
    database,
  }));
}
