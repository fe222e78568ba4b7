import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, answers, inTransaction, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// What a taken-over gatherer may give away, take, or make where it does not belong. GRANT, REVOKE, ALTER DEFAULT PRIVILEGES
// and DROP OWNED in all their forms are in guard.test.ts.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;
let superuser: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  superuser = server.superuser;
  await server.as("gtown", "CREATE TABLE gt_own (id int); CREATE FUNCTION gt_f() RETURNS int LANGUAGE sql RETURN 1");
  await server.as("lgown", "CREATE TABLE lg_balances (id int)");
  gatherer = await takeOver(server, "gt");
});
afterAll(async () => {
  await gatherer.end();
  await server.stop();
});

describe("an owner gives nothing away", () => {
  it.each([
    ["by ALTER TABLE … OWNER TO", "ALTER TABLE gt_own OWNER TO lgown", 'must be able to SET ROLE "lgown"'],
    ["to its own app tier", "ALTER TABLE gt_own OWNER TO gtapp", 'must be able to SET ROLE "gtapp"'],
    ["by ALTER FUNCTION … OWNER TO", "ALTER FUNCTION gt_f() OWNER TO postgres", 'must be able to SET ROLE "postgres"'],
    ["by SET SCHEMA into another service's", "ALTER TABLE gt_own SET SCHEMA lg", "permission denied for schema lg"],
    ["by SET SCHEMA into public", "ALTER TABLE gt_own SET SCHEMA public", "permission denied for schema public"],
    [
      "by SET SCHEMA into extensions",
      "ALTER FUNCTION gt_f() SET SCHEMA extensions",
      "permission denied for schema extensions",
    ],
    ["by REASSIGN OWNED", "REASSIGN OWNED BY gtown TO lgown", "permission denied to reassign objects"],
    ["by membership in its role", "GRANT gtown TO lgown", 'permission denied to grant role "gtown"'],
    [
      "by GRANT on its schema",
      "GRANT USAGE ON SCHEMA gt TO PUBLIC",
      "GRANT is not for gtown: grants come from services/registry.ts",
    ],
    [
      "by making its table part of an extension",
      "ALTER EXTENSION citext ADD TABLE gt_own",
      "must be owner of extension citext",
    ],
    ["by a publication", "CREATE PUBLICATION p FOR TABLE gt_own", "permission denied for database appdb"],
  ])("%s", async (_, sql, message) => {
    expect(await inTransaction(gatherer.owner, sql)).toBe(message);
    await superuser.query("SET search_path = gt");
    expect(await inTransaction(superuser, sql)).not.toBe(message);
    await superuser.query("RESET search_path");
  });
});

describe("no tier takes what is not its own", () => {
  it.each([
    ["DROP OWNED BY another", "DROP OWNED BY lgown", /^DROP OWNED is not for gt(own|app|user): grants come from/],
    ["REASSIGN OWNED BY another", "REASSIGN OWNED BY lgown TO gtown", "permission denied to reassign objects"],
    ["SET ROLE", "SET ROLE lgown", 'permission denied to set role "lgown"'],
    ["SET ROLE platform", "SET ROLE platform", 'permission denied to set role "platform"'],
    [
      "SET SESSION AUTHORIZATION",
      "SET SESSION AUTHORIZATION lgown",
      'permission denied to set session authorization "lgown"',
    ],
    ["ALTER SCHEMA … OWNER TO", "ALTER SCHEMA gt OWNER TO gtown", "must be owner of schema gt"],
    [
      "DROP SCHEMA",
      "DROP SCHEMA gt CASCADE",
      /^DROP SCHEMA is not for gt(own|app|user): it would lock what is not its own/,
    ],
    ["ALTER DATABASE … OWNER TO", "ALTER DATABASE appdb OWNER TO gtown", "must be owner of database appdb"],
    ["ALTER DATABASE … SET", "ALTER DATABASE appdb SET search_path = gt", "must be owner of database appdb"],
    ["ALTER EXTENSION", "ALTER EXTENSION citext UPDATE", "must be owner of extension citext"],
    ["DROP EXTENSION", "DROP EXTENSION citext", "must be owner of extension citext"],
    [
      "ALTER EVENT TRIGGER",
      "ALTER EVENT TRIGGER refuse_commands DISABLE",
      "must be owner of event trigger refuse_commands",
    ],
    [
      "a function of the guard",
      "ALTER FUNCTION platform.refuse_commands() RENAME TO x",
      "permission denied for schema platform",
    ],
    ["COMMENT ON DATABASE", "COMMENT ON DATABASE appdb IS 'x'", "must be owner of database appdb"],
    ["COMMENT ON ROLE", "COMMENT ON ROLE gtown IS 'x'", "permission denied"],
    ["GRANT SET ON PARAMETER", "GRANT SET ON PARAMETER work_mem TO PUBLIC", "permission denied for parameter work_mem"],
    [
      "GRANT of a predefined role",
      "GRANT pg_read_all_data TO gtown",
      'permission denied to grant role "pg_read_all_data"',
    ],
  ])("by %s", async (_, sql, message) => {
    const got = await answers(gatherer, sql);
    for (const each of typeof got === "string" ? [got] : Object.values(got)) expect(each).toMatch(exact(message));
    expect(await inTransaction(superuser, sql)).toBe("done");
  });
});

describe("no tier makes anything", () => {
  it.each([
    ["a table in public", "CREATE TABLE public.x ()", "permission denied for schema public"],
    ["a table in platform", "CREATE TABLE platform.x ()", "permission denied for schema platform"],
    ["a table in extensions", "CREATE TABLE extensions.x ()", "permission denied for schema extensions"],
    ["a table in another service's schema", "CREATE TABLE lg.lg_x ()", "permission denied for schema lg"],
    [
      "a function in pg_catalog",
      "CREATE FUNCTION pg_catalog.f() RETURNS int LANGUAGE sql RETURN 1",
      "permission denied for schema pg_catalog",
    ],
    [
      "an operator in extensions",
      "CREATE OPERATOR extensions.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
      "permission denied for schema extensions",
    ],
    ["a temporary table", "CREATE TEMP TABLE x ()", 'permission denied to create temporary tables in database "appdb"'],
    ["a schema", "CREATE SCHEMA x", "permission denied for database appdb"],
    ["an extension that is trusted", "CREATE EXTENSION hstore", 'permission denied to create extension "hstore"'],
    ["a role", "CREATE ROLE x", "permission denied to create role"],
  ])("%s", async (_, sql, message) => {
    expect(await answers(gatherer, sql)).toBe(message);
    expect(await inTransaction(superuser, sql)).not.toBe(message);
  });
});

describe("a role changes of itself", () => {
  it.each([
    ["not its name", "ALTER ROLE $ RENAME TO x", "session user cannot be renamed"],
    ["not its attributes", "ALTER ROLE $ CREATEDB", "permission denied to alter role"],
    ["not its connection limit", "ALTER ROLE $ CONNECTION LIMIT -1", "permission denied to alter role"],
    ["not until when it holds", "ALTER ROLE $ VALID UNTIL 'infinity'", "permission denied to alter role"],
    [
      "not a superuser's setting",
      "ALTER ROLE $ SET log_statement = 'none'",
      'permission denied to set parameter "log_statement"',
    ],
    [
      "not its temp_file_limit",
      "ALTER ROLE $ SET temp_file_limit = -1",
      'permission denied to set parameter "temp_file_limit"',
    ],
    [
      "not its temp_file_limit in one database",
      "ALTER ROLE $ IN DATABASE appdb SET temp_file_limit = -1",
      'permission denied to set parameter "temp_file_limit"',
    ],
    [
      "not away its temp_file_limit",
      "ALTER ROLE $ RESET temp_file_limit",
      'permission denied to set parameter "temp_file_limit"',
    ],
    ["not the settings of all", "ALTER ROLE ALL SET work_mem = '1MB'", "permission denied to alter setting"],
    ["not another role's settings", "ALTER ROLE lgapp SET work_mem = '1MB'", "permission denied to alter role"],
    ["not another role's password", "ALTER ROLE lgapp PASSWORD 'x'", "permission denied to alter role"],
  ])("%s", async (_, sql, message) => {
    for (const tier of ["owner", "app", "user"] as const) {
      const role = `gt${tier === "owner" ? "own" : tier}`;
      expect(await inTransaction(gatherer[tier], sql.replace("$", role))).toBe(message);
    }
  });

  it("its password and most of its settings, until the plan is applied again; RESET ALL leaves its temp_file_limit", async () => {
    const settings = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'gtuser'::regrole";
    const planned = await answer(superuser, settings);
    await gatherer.user.query("ALTER ROLE gtuser PASSWORD 'known to somebody'; ALTER ROLE gtuser RESET ALL");
    expect(await answer(superuser, settings)).toBe("temp_file_limit=1024MB");
    await expect(server.as("gtuser", "SELECT 1")).rejects.toThrow('password authentication failed for user "gtuser"');
    await server.apply(plan);
    expect(await answer(superuser, settings)).toBe(planned);
    await server.as("gtuser", "SELECT 1");
  });
});

function exact(message: string | RegExp): RegExp {
  return typeof message === "string" ? new RegExp(`^${message.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`) : message;
}
