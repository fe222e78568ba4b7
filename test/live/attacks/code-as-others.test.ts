import type { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, answers, pastTheGuard, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Code of a taken-over gatherer that somebody else runs: the aggregator, which reads it (`reads`), the role for dumps, a
// superuser or autovacuum.
const plan = testPlan(
  services
    .filter(({ code }) => ["gt", "ag"].includes(code))
    .map((service) => (service.code === "ag" ? { ...service, reads: ["gatherer"] } : service)),
);
let server: TestServer;
let gatherer: Attackers;
let reader: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_data (id int PRIMARY KEY, body text); INSERT INTO gt_data VALUES (1, 'x')");
  await server.as(
    "agown",
    `CREATE TABLE ag_results (id serial PRIMARY KEY, source text);
     INSERT INTO ag_results (source) SELECT 'a secret' FROM generate_series(1, 100); ANALYZE ag_results`,
  );
  gatherer = await takeOver(server, "gt");
  reader = await server.session("agapp");
});
afterAll(async () => {
  await gatherer.end();
  await reader.end();
  await server.stop();
});
beforeEach(() => gatherer.owner.query("DROP VIEW IF EXISTS gt_view"));

describe("a view of the gatherer, read by the aggregator with the aggregator's rights", () => {
  it.each([
    [
      "changes its search_path and so the operators of its next statement",
      "set_config('search_path', 'gt, pg_catalog, ag', false)",
      "set_config",
    ],
    ["shows what it finds to all, as application_name", "set_config('application_name', 'found', false)", "set_config"],
    ["ends the aggregator's sessions", "pg_terminate_backend(pid) FROM pg_locks", "pg_terminate_backend"],
    ["cancels its queries", "pg_cancel_backend(pid) FROM pg_locks", "pg_cancel_backend"],
    ["tells it to whoever listens", "pg_notify('gatherer', current_query())::text", "pg_notify"],
    ["looks at the statement that reads it", "current_query()", "current_query"],
    ["looks at those of its other sessions", "query FROM pg_stat_activity", "pg_stat_get_activity"],
    ["looks at what it has prepared", "statement FROM pg_prepared_statements", "pg_prepared_statement"],
    ["looks at its cursors", "statement FROM pg_cursors", "pg_cursor"],
    ["decides its random numbers", "setseed(0.5)::text", "setseed"],
    ["finds its domain by name, and runs its check", "pg_input_is_valid('x', 'ag.code')::text", "pg_input_is_valid"],
    ["and has the error", "message FROM pg_input_error_info('x', 'ag.code')", "pg_input_error_info"],
    ["finds it by number", "domain_in('x', 1, -1) IS NULL AS n", "domain_in"],
    ["finds it in an array", "array_in('{x}', 1, -1)::text", "array_in"],
    ["finds it in a row", "record_in('(x)', 1, -1)::text", "record_in"],
    ["finds it in a range", "range_in('[x,x]', 1, -1)::text", "range_in"],
    ["finds it in ranges", "multirange_in('{}', 1, -1)::text", "multirange_in"],
    ["sees which of its rows were changed", "currtid2('ag.ag_results', '(0,1)')::text", "currtid2"],
    ["runs a query given as text", "query_to_xml('SELECT source FROM ag.ag_results', true, true, '')", "query_to_xml"],
    ["takes locks in its name", "pg_advisory_lock(1)::text", "pg_advisory_lock"],
    ["makes files in its name", "pg_export_snapshot()", "pg_export_snapshot"],
    ["makes large objects in its name", "lo_create(0)", "lo_create"],
  ])("%s: no, who reads another service may not call the function", async (_, expression, name) => {
    await gatherer.owner.query(`CREATE VIEW gt_view AS SELECT ${expression}`);
    expect(await answer(reader, "SELECT * FROM gt.gt_view")).toBe(`permission denied for function ${name}`);
  });

  it.each(["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"])(
    "sees none of the aggregator's values in %s, which shows them to whoever runs the query",
    async (view) => {
      await gatherer.owner.query(`CREATE VIEW gt_view AS SELECT count(*) FROM ${view} WHERE tablename = 'ag_results'`);
      expect(await answer(reader, "SELECT * FROM gt.gt_view")).toBe(`permission denied for view ${view}`);
    },
  );

  it.each([
    ["a function of the gatherer", "CREATE VIEW gt_view AS SELECT gt_f(1)", "gt_f"],
    ["an operator of the gatherer", "CREATE VIEW gt_view AS SELECT 1 OPERATOR(gt.###) 1", "gt_op"],
    ["a domain's check", "CREATE VIEW gt_view AS SELECT 1::gt.checked", "gt_check"],
  ])("does not run %s", async (_, view, name) => {
    await gatherer.owner.query(
      `CREATE FUNCTION gt_f(int) RETURNS int LANGUAGE sql RETURN $1;
       CREATE FUNCTION gt_op(int, int) RETURNS int LANGUAGE sql RETURN $1;
       CREATE OPERATOR gt.### (FUNCTION = gt_op, LEFTARG = int, RIGHTARG = int);
       CREATE FUNCTION gt_check(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
       CREATE DOMAIN gt.checked AS int CHECK (gt_check(VALUE))`,
    );
    await gatherer.owner.query(view);
    expect(await answer(gatherer.app, "SELECT * FROM gt_view")).toMatch(/^(1|true)$/); // the control: its own app may
    expect(await answer(reader, "SELECT * FROM gt.gt_view")).toBe(`permission denied for function ${name}`);
    await gatherer.owner.query(
      `DROP VIEW gt_view; DROP DOMAIN gt.checked; DROP OPERATOR gt.### (int, int);
       DROP FUNCTION gt_f, gt_op, gt_check`,
    );
  });

  it("names no table of the aggregator, in a policy neither", async () => {
    for (const sql of [
      "CREATE VIEW gt_view WITH (security_invoker) AS SELECT source FROM ag.ag_results",
      "CREATE POLICY p ON gt_data USING (EXISTS (SELECT FROM ag.ag_results))",
    ]) {
      expect(await answer(gatherer.owner, sql)).toBe("permission denied for schema ag");
    }
  });

  // What stays: reads is trust in both directions.
  it("can count the aggregator's sequences up: whoever inserts needs nextval", async () => {
    await gatherer.owner.query(
      "CREATE VIEW gt_view AS SELECT count(nextval(('ag.ag_results_id_seq'::text)::regclass)) FROM generate_series(1, 1000)",
    );
    expect(await answer(reader, "SELECT * FROM gt.gt_view")).toBe("1000");
    expect(await answer(reader, "INSERT INTO ag_results (source) VALUES ('b') RETURNING id")).toBe("1101");
  });

  it("tells what it learns of the reader's session by counting rows: whoever owns a table sees how often it is read", async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_count AS SELECT generate_series(1, 1000) AS n; ALTER TABLE gt_count SET (autovacuum_enabled = off);
       CREATE VIEW gt_view AS SELECT count(*) FROM
         (SELECT FROM gt_count LIMIT (SELECT length(current_setting('search_path')))) t`,
    );
    const read = async () => {
      await gatherer.owner.query("SELECT pg_stat_clear_snapshot()");
      return answer(gatherer.owner, "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'gt_count'");
    };
    await expect.poll(read).toBe("0");
    await reader.query("SELECT * FROM gt.gt_view; SELECT pg_stat_force_next_flush()");
    await expect.poll(read).toBe(String("ag, extensions".length));
    await gatherer.owner.query("DROP VIEW gt_view; DROP TABLE gt_count");
  });

  it("can take its time and its memory, and shows the aggregator what it likes", async () => {
    await gatherer.owner.query("CREATE VIEW gt_view AS SELECT length(repeat('x', 10000000)) FROM pg_sleep(0.1)");
    expect(await answer(reader, "SELECT * FROM gt.gt_view")).toBe("10000000");
  });
});

describe("a reader", () => {
  it("may hold up what it reads, for the owner's lock_timeout, and nobody behind it for longer", async () => {
    await reader.query("BEGIN; LOCK TABLE gt.gt_data IN ACCESS SHARE MODE");
    expect(await answer(gatherer.app, "INSERT INTO gt_data VALUES (2); DELETE FROM gt_data WHERE id = 2")).toBe("done");
    await gatherer.owner.query("SET lock_timeout = '100ms'");
    expect(await answer(gatherer.owner, "ALTER TABLE gt_data ADD COLUMN more int")).toBe(
      "canceling statement due to lock timeout",
    );
    await reader.query("ROLLBACK");
  });

  it.each([
    ["write", "UPDATE gt.gt_data SET body = ''", "permission denied for table gt_data"],
    ["lock rows", "SELECT FROM gt.gt_data FOR KEY SHARE", "permission denied for table gt_data"],
    ["lock more than reading does", "LOCK TABLE gt.gt_data IN ROW SHARE MODE", "permission denied for table gt_data"],
    ["make anything there", "CREATE TABLE gt.gt_x ()", "permission denied for schema gt"],
  ])("may not %s", async (_, sql, message) => {
    await reader.query("ROLLBACK");
    expect(await answer(reader, `BEGIN; ${sql}`)).toBe(message);
    await reader.query("ROLLBACK");
  });
});

describe("a superuser, autovacuum and the role for dumps", () => {
  it("run an index's function as its owner, also where REINDEX and ANALYZE are the superuser's", async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_who (who text); CREATE TABLE gt_indexed (id int); INSERT INTO gt_indexed VALUES (1);
       CREATE FUNCTION gt_write() RETURNS void LANGUAGE sql AS 'INSERT INTO gt.gt_who VALUES (current_user)';
       CREATE FUNCTION gt_note(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM gt.gt_write(); RETURN $1; END';
       DELETE FROM gt_who`,
    );
    await pastTheGuard(server, "gtown", "CREATE INDEX ON gt.gt_indexed (gt.gt_note(id)); DELETE FROM gt.gt_who");
    await server.superuser.query("REINDEX TABLE gt.gt_indexed; ANALYZE gt.gt_indexed");
    expect(await answers(gatherer, "SELECT DISTINCT who FROM gt.gt_who")).toBe("gtown");
    await gatherer.owner.query("DROP TABLE gt_indexed");
  });

  it("are not let out of that by SET ROLE or RESET", async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_escape (id int);
       CREATE FUNCTION gt_become() RETURNS void LANGUAGE plpgsql AS 'BEGIN RESET ROLE; END';
       CREATE FUNCTION gt_reset(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
         'BEGIN IF session_user = ''postgres'' THEN PERFORM gt.gt_become(); END IF; RETURN $1; END'`,
    );
    await pastTheGuard(server, "gtown", "CREATE INDEX ON gt.gt_escape (gt.gt_reset(id))");
    await gatherer.owner.query("INSERT INTO gt_escape VALUES (1)");
    expect(await answer(server.superuser, "REINDEX TABLE gt.gt_escape")).toBe(
      'cannot set parameter "role" within security-restricted operation',
    );
    await gatherer.owner.query("DROP TABLE gt_escape");
  });

  it("dump rows that a policy hides, and run no policy", async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_hidden (id int); INSERT INTO gt_hidden VALUES (1); ALTER TABLE gt_hidden ENABLE ROW LEVEL SECURITY;
       CREATE POLICY p ON gt_hidden USING (1 / (id - 1) = 0)`,
    );
    expect(await answer(gatherer.user, "SELECT id FROM gt.gt_hidden")).toBe("division by zero");
    const app = await server.session("app");
    expect(await answer(app, "SET row_security = off; SELECT id FROM gt.gt_hidden")).toBe("1");
    await app.end();
  });
});
