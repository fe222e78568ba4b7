import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, answers, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// PostgreSQL hides neither names nor definitions: revoking SELECT on its catalogs breaks every driver and pg_dump. What a
// taken-over gatherer sees of the ledger without any right on it is written down here, and what it does not see.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as(
    "lgown",
    `CREATE TYPE kind AS ENUM ('payout', 'fee');
     CREATE TABLE lg_balances (id serial PRIMARY KEY, kind kind, iban text DEFAULT 'DE00' CHECK (iban <> 'DE99'));
     COMMENT ON COLUMN lg_balances.iban IS 'of the customer';
     CREATE TABLE lg_parts (customer text) PARTITION BY LIST (customer);
     CREATE TABLE lg_parts_acme PARTITION OF lg_parts FOR VALUES IN ('acme');
     CREATE VIEW lg_view AS SELECT id FROM lg_balances WHERE iban = 'DE01';
     CREATE FUNCTION lg_f() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN ''in the source''; END';
     CREATE POLICY lg_p ON lg_balances USING (iban <> 'DE02');
     CREATE INDEX lg_i ON lg_balances (id) WHERE iban = 'DE03';
     CREATE FUNCTION lg_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TRIGGER lg_t BEFORE INSERT ON lg_balances FOR EACH ROW EXECUTE FUNCTION lg_t('DE04');
     INSERT INTO lg_balances (kind) SELECT 'fee' FROM generate_series(1, 500); ANALYZE lg_balances;
     ALTER ROLE lgown SET application_name = 'ledger migration'`,
  );
  gatherer = await takeOver(server, "gt");
});
afterAll(async () => {
  await gatherer.end();
  await server.stop();
});

describe("every role sees of every service", () => {
  it.each([
    ["the names of its relations", "SELECT relname FROM pg_class WHERE relname = 'lg_balances'", "lg_balances"],
    ["the names of its columns", "SELECT attname FROM pg_attribute WHERE attname = 'iban' LIMIT 1", "iban"],
    ["its comments", "SELECT description FROM pg_description WHERE description ~ 'customer'", "of the customer"],
    ["the labels of its enums", "SELECT enumlabel FROM pg_enum ORDER BY enumsortorder", "payout, fee"],
    ["its column defaults", "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adnum = 3", "'DE00'::text"],
    [
      "its check constraints",
      "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname ~ 'iban'",
      "CHECK ((iban <> 'DE99'::text))",
    ],
    [
      "the values that bound its partitions",
      "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'lg_parts_acme'",
      "FOR VALUES IN ('acme')",
    ],
    ["the text of its views", "SELECT definition ~ 'DE01' FROM pg_views WHERE viewname = 'lg_view'", "true"],
    [
      "the source of its functions",
      "SELECT prosrc FROM pg_proc WHERE proname = 'lg_f'",
      "BEGIN RETURN 'in the source'; END",
    ],
    ["its policies", "SELECT qual FROM pg_policies WHERE policyname = 'lg_p'", "(iban <> 'DE02'::text)"],
    ["the conditions of its indexes", "SELECT indexdef ~ 'DE03' FROM pg_indexes WHERE indexname = 'lg_i'", "true"],
    [
      "the arguments of its triggers",
      "SELECT encode(tgargs, 'escape') ~ 'DE04' FROM pg_trigger WHERE tgname = 'lg_t'",
      "true",
    ],
    ["how many rows it has, roughly", "SELECT reltuples FROM pg_class WHERE relname = 'lg_balances'", "500"],
    ["how large it is", "SELECT pg_relation_size(oid) FROM pg_class WHERE relname = 'lg_balances'", "24576"],
    ["how much it writes", "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'lg_balances'", "500"],
    [
      "the settings of its roles",
      "SELECT rolconfig @> '{\"application_name=ledger migration\"}' FROM pg_roles WHERE rolname = 'lgown'",
      "true",
    ],
    ["how many connections it may have", "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'lgapp'", "5"],
  ])("%s", async (_, sql, seen) => {
    await expect.poll(() => answers(gatherer, sql)).toBe(seen); // statistics arrive within a second
  });

  it("who is logged in and as what program, and which locks they hold; not their query, state or address", async () => {
    const ledger = await server.session("lgown");
    await ledger.query("BEGIN; LOCK TABLE lg_balances IN SHARE MODE");
    for (const session of [gatherer.owner, gatherer.app, gatherer.user]) {
      const { rows } = await session.query<{ activity: object }>(
        `SELECT jsonb_strip_nulls(to_jsonb(a) - '{pid,usesysid,datid}'::text[]) AS activity
           FROM pg_stat_activity a WHERE usename = 'lgown'`,
      );
      expect(rows).toEqual([
        {
          activity: {
            datname: "appdb",
            usename: "lgown",
            application_name: "ledger migration",
            query: "<insufficient privilege>",
          },
        },
      ]);
      const held = await session.query(
        `SELECT mode FROM pg_locks WHERE relation = (SELECT oid FROM pg_class WHERE relname = 'lg_balances')`,
      );
      expect(held.rows).toEqual([{ mode: "ShareLock" }]);
    }
    await ledger.end();
  });

  it("of the server: version, address, system identifier, how far its WAL is", async () => {
    const sql = `SELECT version() ~ '^PostgreSQL 16' AND inet_server_addr() = '127.0.0.1' AND pg_current_wal_lsn() > '0/0'
                        AND system_identifier > 0 FROM pg_control_system()`;
    expect(await answers(gatherer, sql)).toBe("true");
  });

  it("the value a column was added with, until the table is rewritten", async () => {
    await server.as(
      "lgown",
      `CREATE FUNCTION lg_tenant() RETURNS text STABLE LANGUAGE sql AS $$ SELECT iban FROM lg.lg_balances LIMIT 1 $$;
       CREATE TABLE lg_added (id int); INSERT INTO lg_added VALUES (1);
       ALTER TABLE lg_added ADD COLUMN tenant text DEFAULT lg_tenant(); ALTER TABLE lg_added ALTER tenant DROP DEFAULT`,
    );
    const values = "SELECT attmissingval::text FROM pg_attribute WHERE attmissingval IS NOT NULL";
    expect(await answers(gatherer, values)).toBe("{DE00}");
    await server.as("lgown", "VACUUM FULL lg_added");
    expect(await answers(gatherer, values)).toBe("done");
  });
});

describe("no role of another service sees", () => {
  it.each([
    ["values in pg_stats", "SELECT FROM pg_stats WHERE schemaname = 'lg'", "permission denied for view pg_stats"],
    [
      "values in extended statistics",
      "SELECT FROM pg_stats_ext WHERE schemaname = 'lg'",
      "permission denied for view pg_stats_ext",
    ],
    [
      "how far a sequence is",
      "SELECT last_value FROM pg_sequences WHERE schemaname = 'lg'",
      { owner: "null", app: "null", user: "permission denied for function pg_sequence_last_value" },
    ],
    [
      "who runs what: pg_stat_statements",
      "SELECT FROM platform.pg_stat_statements",
      "permission denied for schema platform",
    ],
    [
      "since when passwords are what they are",
      "SELECT FROM platform.password",
      "permission denied for schema platform",
    ],
    ["password verifiers", "SELECT rolpassword FROM pg_roles WHERE rolname = 'lgapp'", "********"],
    ["pg_authid", "SELECT FROM pg_authid", "permission denied for table pg_authid"],
    ["pg_shadow", "SELECT FROM pg_shadow", "permission denied for view pg_shadow"],
    ["statistics of columns", "SELECT FROM pg_statistic", "permission denied for table pg_statistic"],
    ["pg_hba.conf", "SELECT FROM pg_hba_file_rules", "permission denied for view pg_hba_file_rules"],
    ["pg_ident.conf", "SELECT FROM pg_ident_file_mappings", "permission denied for view pg_ident_file_mappings"],
    ["postgresql.conf", "SELECT FROM pg_file_settings", "permission denied for view pg_file_settings"],
    ["how the server was built", "SELECT FROM pg_config", "permission denied for view pg_config"],
    [
      "memory of other sessions",
      "SELECT FROM pg_backend_memory_contexts",
      "permission denied for view pg_backend_memory_contexts",
    ],
    ["shared memory", "SELECT FROM pg_shmem_allocations", "permission denied for view pg_shmem_allocations"],
    ["where the data are", "SHOW data_directory", 'permission denied to examine "data_directory"'],
    ["standbys", "SELECT FROM pg_stat_replication WHERE state IS NOT NULL", "done"],
    [
      "another backend's statement by its number",
      "SELECT DISTINCT pg_stat_get_backend_activity(b) FROM pg_stat_get_backend_idset() b WHERE pg_stat_get_backend_pid(b) <> pg_backend_pid() AND pg_stat_get_backend_userid(b) <> (SELECT oid FROM pg_roles WHERE rolname = current_user)",
      "<insufficient privilege>",
    ],
    ["large objects", "SELECT FROM pg_largeobject", "permission denied for table pg_largeobject"],
  ])("%s", async (_, sql, message) => {
    expect(await answers(gatherer, sql)).toEqual(message);
  });

  it("statements of other sessions, where the superuser does", async () => {
    const sql =
      "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('gtown', 'gtapp', 'gtuser') AND usename <> current_user AND query <> '<insufficient privilege>'";
    expect(await answers(gatherer, sql)).toBe("0");
    expect(await answer(server.superuser, sql)).toBe("3");
  });
});
