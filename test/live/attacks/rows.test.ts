import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answers, inTransaction, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// The gatherer's three logins are somebody else's. What do they get of the ledger's rows?
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;
let ledger: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (id int PRIMARY KEY) PARTITION BY LIST (id)");
  await server.as(
    "lgown",
    `CREATE TABLE lg_balances (id serial PRIMARY KEY, note text); INSERT INTO lg_balances (note) VALUES ('a secret');
     CREATE VIEW lg_view AS SELECT note FROM lg_balances; CREATE MATERIALIZED VIEW lg_copy AS SELECT note FROM lg_balances;
     CREATE FUNCTION lg_read() RETURNS text LANGUAGE sql SECURITY DEFINER RETURN (SELECT note FROM lg.lg_balances);
     CREATE PROCEDURE lg_write() LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM lg.lg_balances';
     CREATE TYPE lg.kind AS ENUM ('a'); ANALYZE lg_balances`,
  );
  gatherer = await takeOver(server, "gt");
  ledger = await server.session("lgown");
});
afterAll(async () => {
  await gatherer.end();
  await ledger.end();
  await server.stop();
});

describe("another service's rows", () => {
  it.each([
    ["SELECT", "SELECT note FROM lg.lg_balances"],
    ["COPY TO", "COPY lg.lg_balances TO STDOUT"],
    ["a view", "SELECT note FROM lg.lg_view"],
    ["a materialized view", "SELECT note FROM lg.lg_copy"],
    ["a SECURITY DEFINER function", "SELECT lg.lg_read()"],
    ["a SECURITY DEFINER procedure", "CALL lg.lg_write()"],
    ["the planner's estimate", "EXPLAIN SELECT FROM lg.lg_balances WHERE note > 'a'"],
    ["INSERT", "INSERT INTO lg.lg_balances (note) VALUES ('x')"],
    ["UPDATE", "UPDATE lg.lg_balances SET note = NULL"],
    ["DELETE", "DELETE FROM lg.lg_balances"],
    ["MERGE", "MERGE INTO lg.lg_balances b USING (SELECT 1 AS i) s ON b.id = s.i WHEN MATCHED THEN DELETE"],
    ["TRUNCATE", "TRUNCATE lg.lg_balances"],
    ["a row lock", "SELECT FROM lg.lg_balances FOR KEY SHARE"],
    ["a table lock", "LOCK TABLE lg.lg_balances IN ACCESS SHARE MODE"],
    ["its name made a number", "SELECT 'lg.lg_balances'::regclass"],
    ["to_regclass", "SELECT to_regclass('lg.lg_balances')"],
    ["nextval by name", "SELECT nextval('lg.lg_balances_id_seq')"],
    ["a type of its schema", "SELECT 'a'::lg.kind"],
    ["ANALYZE", "ANALYZE lg.lg_balances"],
    ["REFRESH", "REFRESH MATERIALIZED VIEW lg.lg_copy"],
  ])("are out of reach for %s: its schema is closed", async (_, sql) => {
    expect(await answers(gatherer, sql)).toBe("permission denied for schema lg");
    expect(await inTransaction(ledger, sql)).not.toContain("denied");
  });

  it.each([
    ["a foreign key, which tells whether a value is there", "CREATE TABLE gt.gt_x (i int REFERENCES lg.lg_balances)"],
    ["an inheriting table", "CREATE TABLE gt.gt_x () INHERITS (lg.lg_balances)"],
    ["a partition", "ALTER TABLE gt.gt_own ATTACH PARTITION lg.lg_balances FOR VALUES IN (1)"],
    ["a view of its own", "CREATE VIEW gt.gt_x AS SELECT note FROM lg.lg_balances"],
    ["a column of the table's type", "CREATE TABLE gt.gt_x (i lg.lg_balances)"],
    ["LIKE", "CREATE TABLE gt.gt_x (LIKE lg.lg_balances)"],
    ["a domain", "CREATE DOMAIN gt.d AS lg.kind"],
    ["a function on the type", "CREATE FUNCTION gt.f(lg.lg_balances) RETURNS int LANGUAGE sql RETURN 1"],
    [
      "a SECURITY DEFINER function",
      "CREATE FUNCTION gt.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN (SELECT count(*) FROM lg.lg_balances)",
    ],
    ["a policy", "CREATE POLICY p ON gt.gt_own USING (EXISTS (SELECT FROM lg.lg_balances))"],
    ["a sequence owned by its column", "CREATE SEQUENCE gt.gt_s OWNED BY lg.lg_balances.id"],
    [
      "a trigger on its table",
      "CREATE TRIGGER t BEFORE UPDATE ON lg.lg_balances EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
    ["extended statistics", "CREATE STATISTICS gt.gt_s ON id, note FROM lg.lg_balances"],
    ["an index on its table", "CREATE INDEX ON lg.lg_balances (note)"],
  ])("are not reached by an owner through %s", async (_, sql) => {
    expect(await inTransaction(gatherer.owner, sql)).toBe("permission denied for schema lg");
  });

  it.each([
    ["own", "CREATE RULE r AS ON INSERT TO gt.gt_own DO ALSO DELETE FROM lg.lg_balances"],
    ["their", "CREATE RULE r AS ON UPDATE TO lg.lg_balances DO INSTEAD NOTHING"],
  ])("are not reached by an owner through a rule on %s table", async (_, sql) => {
    expect(await inTransaction(gatherer.owner, sql)).toBe(
      "CREATE RULE is not for gtown: it would lock what is not its own",
    );
  });

  it.each([
    ["nextval", ""],
    ["setval", ", 1"],
    ["currval", ""],
    ["pg_sequence_last_value", ""],
  ])("are not reached by a sequence's number, which %s takes without asking for the schema", async (name, more) => {
    const sql = `SELECT ${name}((SELECT oid FROM pg_class WHERE relname = 'lg_balances_id_seq')::regclass${more})`;
    const refused = "permission denied for sequence lg_balances_id_seq";
    expect(await answers(gatherer, sql)).toEqual({
      owner: refused,
      app: refused,
      user: `permission denied for function ${name}`,
    });
  });

  it("do not show in what the planner knows of them", async () => {
    const sql = "SELECT most_common_vals FROM pg_stats WHERE schemaname = 'lg' AND attname = 'id'";
    expect(await answers(gatherer, sql)).toBe("permission denied for view pg_stats");
    expect(await answers(gatherer, "SELECT FROM pg_statistic")).toBe("permission denied for table pg_statistic");
  });

  it("do not follow from the catalogs themselves: nobody locks or changes a row of them", async () => {
    for (const table of ["pg_class", "pg_proc", "pg_database", "pg_event_trigger", "pg_default_acl", "pg_authid"]) {
      const denied = `permission denied for table ${table}`;
      expect(await answers(gatherer, `SELECT FROM ${table} FOR KEY SHARE`)).toBe(denied);
      expect(await answers(gatherer, `DELETE FROM ${table}`)).toBe(denied);
    }
  });
});
