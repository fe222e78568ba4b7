import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderFoundation, renderPlan, renderTiers } from "../../components/access/sql";
import { revokedFunctions } from "../../components/access/privileges";
import type { Plan } from "../../components/access/plan-items";
import { createProbes } from "../../ops/effect-test/probes";
import { keyWords } from "../../services/key-words";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

const plan = testPlan(services.slice(0, 3));
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  for (const { code } of plan.services) await server.as(`${code}own`, createProbes(code, "new"));
});
afterAll(() => server.stop());

const accessSql = readFileSync(join(__dirname, "..", "support", "access.sql"), "utf8");

/** All that a plan may change, as comparable lines: an acl is a set, and NULL means what the owner has anyway. */
async function access(): Promise<string[]> {
  const { rows } = await server.superuser.query<{ kind: string; name: string; value: string | null }>(accessSql);
  return rows.map(({ kind, name, value }) => {
    const items = kind === "role" || kind === "setting" ? undefined : /\{(.*)\}$/s.exec(value ?? "")?.[1];
    const text = items === undefined ? value : (value ?? "").replace(items, items.split(",").sort().join(","));
    return `${kind} ${name}: ${text ?? ""}`;
  });
}

describe("the plan as SQL", () => {
  it("changes nothing the second time, and nothing where only the platform's part runs again", async () => {
    const before = await access();
    await server.apply(plan);
    expect(await access()).toEqual(before);
    await server.superuser.query(renderFoundation(plan));
    await server.superuser.query(renderTiers(plan));
    expect(await access()).toEqual(before);
  });

  it("takes functions back from a service that begins to read another, and gives them again when it stops", async () => {
    const [gatherer, aggregator] = services;
    if (gatherer === undefined || aggregator === undefined) throw new Error("the registry is too short");
    const may = (role: string) =>
      server.superuser
        .query<{ may: boolean }>(
          "SELECT has_function_privilege($1, 'set_config(text, text, boolean)', 'EXECUTE') AS may",
          [role],
        )
        .then(({ rows }) => rows[0]?.may);
    const alone = testPlan([gatherer, { ...aggregator, reads: [] }]);
    const reading = testPlan([gatherer, { ...aggregator, reads: ["gatherer"] }]);
    for (const apply of [renderTiers, (applied: Plan) => renderPlan(applied, new Map())]) {
      await server.superuser.query(apply(reading));
      expect([await may("agapp"), await may("agown"), await may("gtapp")]).toEqual([false, true, true]);
      await server.superuser.query(apply(alone));
      expect([await may("agapp"), await may("agown"), await may("gtapp")]).toEqual([true, true, true]);
    }
    await server.apply(plan);
  });

  it("closes a schema to who reads it no more before functions are given back, also while its owner has altered a table", async () => {
    const [gatherer, aggregator] = services;
    if (gatherer === undefined || aggregator === undefined) throw new Error("the registry is too short");
    const alone = testPlan([gatherer, { ...aggregator, reads: [] }]);
    const reading = testPlan([gatherer, { ...aggregator, reads: ["gatherer"] }]);
    await server.as("gtown", "CREATE TABLE gt.gt_altered (id int)");
    await server.apply(reading);
    const owner = await server.session("gtown");
    await owner.query("BEGIN; ALTER TABLE gt.gt_altered ADD COLUMN n int");
    await server.superuser.query(renderTiers(alone));
    const { rows } = await server.superuser.query(
      `SELECT has_schema_privilege('agapp', 'gt', 'USAGE') AS reads, has_schema_privilege('gtapp', 'gt', 'USAGE') AS own,
              has_function_privilege('agapp', 'set_config(text, text, boolean)', 'EXECUTE') AS calls`,
    );
    await owner.query("ROLLBACK; DROP TABLE gt.gt_altered");
    await owner.end();
    expect(rows).toEqual([{ reads: false, own: true, calls: true }]);
    await server.apply(plan);
  });

  // One statement an operator may have typed on a bad day; the next run of the plan takes it back.
  it.each([
    "GRANT SELECT ON gt.gt_probe_new_table TO aguser",
    "GRANT SELECT (note) ON gt.gt_probe_new_table TO aguser",
    "GRANT UPDATE ON SEQUENCE gt.gt_probe_new_sequence TO gtapp",
    "GRANT EXECUTE ON FUNCTION gt.gt_probe_new_function() TO PUBLIC",
    "GRANT EXECUTE ON PROCEDURE gt.gt_probe_new_procedure() TO gtuser",
    "GRANT SELECT ON gt.gt_probe_new_table TO gtuser WITH GRANT OPTION",
    "GRANT SELECT ON gt.gt_probe_new_table TO gtuser WITH GRANT OPTION; SET session_replication_role = replica; SET ROLE gtuser; GRANT SELECT ON gt.gt_probe_new_table TO aguser; RESET ROLE; RESET session_replication_role",
    "GRANT TRUNCATE, REFERENCES, TRIGGER ON gt.gt_probe_new_view TO gtapp",
    "GRANT CREATE ON SCHEMA gt TO gtapp",
    "GRANT USAGE ON SCHEMA gt TO PUBLIC",
    "GRANT CREATE ON SCHEMA extensions TO gtown",
    "GRANT USAGE ON SCHEMA platform TO gtapp",
    "GRANT CREATE ON SCHEMA public TO gtown",
    "GRANT CREATE ON DATABASE appdb TO gtown",
    "GRANT TEMPORARY ON DATABASE appdb TO PUBLIC",
    "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC",
    "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    "GRANT gtown TO agown",
    "GRANT pg_read_all_data TO gtuser WITH ADMIN OPTION",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO aguser",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO gtuser WITH GRANT OPTION",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt REVOKE SELECT ON TABLES FROM gtuser",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown GRANT EXECUTE ON ROUTINES TO PUBLIC",
    "REVOKE SELECT ON gt.gt_probe_new_table FROM gtuser",
    "REVOKE USAGE ON SCHEMA gt FROM gtapp",
    "ALTER ROLE gtuser CREATEROLE SUPERUSER BYPASSRLS CONNECTION LIMIT -1",
    "ALTER ROLE gtuser SET search_path = ag, gt",
    "ALTER ROLE gtuser IN DATABASE appdb SET search_path = ag",
    "ALTER ROLE gtuser PASSWORD 'known to somebody'",
    "ALTER ROLE gtuser NOLOGIN",
    "ALTER SCHEMA gt OWNER TO gtown",
    "REVOKE CONNECT ON DATABASE appdb FROM gtuser",
    "REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM gtown",
    'SET ROLE gtown; ALTER TABLE gt.gt_probe_new_table ADD COLUMN IF NOT EXISTS "a) TABLE b" int; RESET ROLE; GRANT SELECT ("a) TABLE b") ON gt.gt_probe_new_table TO aguser',
    "DROP EVENT TRIGGER refuse_commands",
  ])("takes back %s", async (deviation) => {
    const before = await access();
    await server.superuser.query(deviation);
    expect(await access()).not.toEqual(before);
    await server.apply(plan);
    expect(await access()).toEqual(before);
  });

  it("takes a removed read back", async () => {
    const reading = testPlan(
      plan.services.map((service) => (service.code === "ag" ? { ...service, reads: ["gatherer"] } : service)),
    );
    const before = await access();
    await server.apply(reading);
    await server.as("aguser", "SELECT FROM gt.gt_probe_new_table");
    await server.apply(plan);
    await expect(server.as("aguser", "SELECT FROM gt.gt_probe_new_table")).rejects.toThrow("permission denied");
    expect(await access()).toEqual(before);
  });

  it("shuts out the roles of a removed service, keeps its data, and gives both back with its line", async () => {
    const before = await access();
    await server.as("scapp", "INSERT INTO sc_probe_new_table VALUES ('kept')");
    await server.apply(testPlan(plan.services.slice(0, 2)));
    await expect(server.as("scapp", "SELECT")).rejects.toThrow('permission denied for database "appdb"');
    await server.apply(plan);
    expect(await server.as("scuser", "SELECT note FROM sc_probe_new_table")).toEqual([{ note: "kept" }]);
    expect(await access()).toEqual(before);
  });

  // An owner may fill the server's lock table just when the plan takes something away.
  it.each([
    ["53200", "out of shared memory", "fails, and everything is as it was"],
    ["42501", "of an owner's making", "goes on with the rest"],
  ])("where taking a right away fails with %s %s %s", async (code, _whose, outcome) => {
    const gone = testPlan(services.slice(0, 3).map((service) => ({ ...service, reads: [] })));
    const table = "gt.gt_read";
    await server.as("gtown", `CREATE TABLE ${table} ()`);
    await server.superuser.query(`GRANT SELECT ON ${table} TO agapp, scapp`);
    const before = await access();
    await server.superuser.query(`
      CREATE FUNCTION platform.fail() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NOT has_table_privilege('agapp', '${table}', 'SELECT') THEN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END IF; END $$;
      CREATE EVENT TRIGGER fail ON ddl_command_end WHEN TAG IN ('REVOKE') EXECUTE FUNCTION platform.fail()`);
    const applied = await server.apply(gone).then(
      () => "goes on with the rest",
      (error: unknown) => {
        expect(String(error)).toContain("no");
        return "fails, and everything is as it was";
      },
    );
    await server.superuser.query("ROLLBACK");
    await server.superuser.query("DROP EVENT TRIGGER fail; DROP FUNCTION platform.fail()");
    expect(applied).toBe(outcome);
    if (code === "53200") expect(await access()).toEqual(before);
    await server.superuser.query(`DROP TABLE ${table}`);
    await server.apply(plan);
  });

  it("leaves everything as it was when it fails in the middle", async () => {
    const before = await access();
    const broken = renderPlan(testPlan(services.slice(0, 4)), new Map()).replace(
      /COMMIT;\s*$/,
      "SELECT 1 / 0; COMMIT;",
    );
    await expect(server.superuser.query(broken)).rejects.toThrow("division by zero");
    await server.superuser.query("ROLLBACK");
    expect(await access()).toEqual(before);
  });
});

describe("the page's example (Gatherer)", () => {
  it("runs verbatim with its elisions filled in, each statement by its tier and by no lower one", async () => {
    await server.as("gtown", "CREATE TABLE gt_raw_data (id int PRIMARY KEY, body text)");
    await server.as("gtown", "ALTER TABLE gt_raw_data ADD COLUMN source text");
    await server.as("gtapp", "INSERT INTO gt_raw_data VALUES (1, 'raw', 'page')");
    await server.as("gtapp", "UPDATE gt_raw_data SET body = 'new'");
    expect(await server.as("gtuser", "SELECT * FROM gt_raw_data")).toEqual([{ id: 1, body: "new", source: "page" }]);
    await server.as("gtapp", "DELETE FROM gt_raw_data WHERE id = 1");
    expect(await server.as("gtuser", "SELECT * FROM gt_raw_data")).toEqual([]);
    await expect(server.as("gtapp", "CREATE TABLE gt_more ()")).rejects.toThrow("permission denied for schema gt");
    await expect(server.as("gtapp", "ALTER TABLE gt_raw_data ADD COLUMN x int")).rejects.toThrow(
      "ALTER TABLE is not for gtapp",
    );
    const insert = "INSERT INTO gt_raw_data VALUES (2)";
    await expect(server.as("gtuser", insert)).rejects.toThrow("cannot execute INSERT in a read-only transaction");
    await expect(server.as("gtuser", `BEGIN READ WRITE; ${insert}`)).rejects.toThrow(
      "permission denied for table gt_raw_data",
    );
    await expect(server.as("aguser", "SELECT * FROM gt.gt_raw_data")).rejects.toThrow(
      "permission denied for schema gt",
    );
  });
});

describe("what the sources say about PostgreSQL 16", () => {
  it("lists exactly the server's key words", async () => {
    const { rows } = await server.superuser.query<{ word: string }>(
      "SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'",
    );
    expect([...keyWords].sort()).toEqual(rows.map(({ word }) => word).sort());
  });

  it("misses no overload of a function taken from PUBLIC", async () => {
    const listed = revokedFunctions
      .flatMap(({ functions }) => functions)
      .map((signature) => signature.replaceAll(", ", ","));
    const names = listed.map((signature) => signature.split("(")[0]);
    const { rows } = await server.superuser.query<{ signature: string }>(
      `SELECT oid::regprocedure::text AS signature FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('platform', oid, 'EXECUTE')
          AND (proname = ANY ($1) OR proname ~ '_to_xml|^lo_(creat|from|put|trunc|unlink)|^lowrite|advisory.*_lock')
          AND proname !~ 'unlock'`,
      [names],
    );
    // The one overload that takes no query as text.
    expect(rows).toEqual([{ signature: "ts_rewrite(tsquery,tsquery,tsquery)" }]);
  });
});
