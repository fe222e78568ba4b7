import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { begunDropsQuery } from "../../components/access/retired-sql";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import {
  dropGatherer,
  dropSome,
  each,
  foundGatherer,
  planOfGatherer,
  retiredBackup as backup,
} from "../support/retire";
import { startTestServer, type TestServer } from "../support/server";

const active = planOfGatherer({}, ["gatherer"]);
const frozen = planOfGatherer({ lifecycle: "frozen" });
const retired = planOfGatherer({ lifecycle: "retired", retiredBackups: { dev: backup } });
let server: TestServer;
let crowded: TestServer;

beforeAll(async () => {
  server = await startTestServer(active);
  await server.apply(active);
  for (const { code } of active.services) {
    for (const generation of ["old", "new"] as const) await server.as(`${code}own`, createProbes(code, generation));
  }
  await server.as(
    "gtown",
    `CREATE TABLE gt_kept (id serial PRIMARY KEY, t text);
     CREATE TABLE gt_part (id int) PARTITION BY RANGE (id);
     CREATE TABLE gt_part_1 PARTITION OF gt_part FOR VALUES FROM (0) TO (100);
     CREATE VIEW gt_view AS SELECT * FROM gt_kept;
     CREATE FUNCTION gt.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TRIGGER gt_trigger BEFORE INSERT ON gt_kept FOR EACH ROW EXECUTE FUNCTION gt.t()`,
  );
});
afterAll(() => server.stop());

describe("a service that is to be dropped", () => {
  it("is not while it may log in, others stand on it, or it has something elsewhere, each told", async () => {
    const { superuser } = server;
    await server.as("agapp", "SELECT FROM gt.gt_kept");
    await server.as("agown", `CREATE TABLE ag_mine (id int)`);
    await superuser.query(`
      CREATE VIEW ag.ag_view AS SELECT * FROM gt.gt_kept;
      CREATE VIEW ag.ag_upon AS SELECT * FROM ag.ag_view;
      ALTER TABLE ag.ag_mine ADD COLUMN kept gt.gt_kept;
      CREATE SCHEMA gt_before_20261127t101500;
      CREATE TABLE gt_before_20261127t101500.gt_old (id int);
      ALTER TABLE gt_before_20261127t101500.gt_old OWNER TO gtown;
      CREATE SCHEMA by_hand;
      CREATE TABLE by_hand.gt_old (id int);
      ALTER TABLE by_hand.gt_old OWNER TO gtown`);
    // One that was kept when another took its place.
    await superuser.query("CREATE DATABASE kept TEMPLATE appdb");
    const { obstacles, ...is } = await foundGatherer(server);
    expect(is).toEqual({ isThere: true, hasSchema: true, begun: null });
    expect([...obstacles].sort()).toEqual([
      ...["gtapp", "gtown", "gtuser"].map(
        (role) => `database kept has what is of ${role}: dropdb -U postgres kept, where nobody needs it`,
      ),
      ...["gtapp", "gtown", "gtuser"].map((role) => `${role} may log in: the service is not frozen here`),
      "schema by_hand has what is of gtown: DROP SCHEMA by_hand CASCADE, as superuser, where nobody needs it",
      "schema gt_before_20261127t101500 has what is of gtown: " +
        "npm run ops -- restore drop gt_before_20261127t101500, where nobody needs it",
      "table column ag.ag_mine.kept of another service stands on it: its owner drops it first",
      "view ag.ag_view of another service stands on it: its owner drops it first",
    ]);
    await expect(dropGatherer(server)).rejects.toThrow(/nothing was dropped: gtown may log in/);
    expect((await superuser.query("SELECT FROM gt.gt_kept")).rowCount).toBe(0);
  });

  it("goes whole, with its roles and their rights everywhere, and the others are what they were", async () => {
    const { superuser } = server;
    await superuser.query(
      "DROP VIEW ag.ag_view CASCADE; DROP TABLE ag.ag_mine; DROP SCHEMA gt_before_20261127t101500, by_hand CASCADE",
    );
    await superuser.query("DROP DATABASE kept");
    await superuser.query("CREATE DATABASE other");
    await superuser.query("GRANT CONNECT ON DATABASE other TO gtapp");
    await server.apply(frozen);
    expect(await foundGatherer(server)).toEqual({ isThere: true, hasSchema: true, begun: null, obstacles: [] });
    expect(await dropGatherer(server)).toBe(1);
    expect(await foundGatherer(server)).toEqual({ isThere: false, hasSchema: false, begun: null, obstacles: [] });
    await superuser.query("DROP DATABASE other");
    const { violations } = await testEffectOnProbes(retired, server, superuser);
    expect(violations.map(describeViolation)).toEqual([]);
    expect(await dropGatherer(server)).toBe(1); // a second time: nothing
  });
});

/** More than the server has locks, of every kind, knotted as an owner can. */
const crowd: readonly string[] = [
  "CREATE TYPE gt.mood AS ENUM ('good', 'bad')",
  "CREATE TYPE gt.span AS RANGE (subtype = int)",
  "CREATE DOMAIN gt.checked AS int",
  each(
    120,
    "CREATE TABLE gt.gt_t# (id serial PRIMARY KEY, t text, m gt.mood, s gt.span)",
    "CREATE SEQUENCE gt.gt_s#",
    "CREATE TYPE gt.c# AS (a gt.mood)",
    "ALTER DOMAIN gt.checked ADD CONSTRAINT c# CHECK (value > -#)",
  ),
  each(
    20,
    "ALTER TABLE gt.gt_t# ADD FOREIGN KEY (id) REFERENCES gt.gt_t99",
    "ALTER TABLE gt.gt_t99 ADD FOREIGN KEY (id) REFERENCES gt.gt_t#",
  ),
  "CREATE TABLE gt.gt_parts (id int PRIMARY KEY, t text) PARTITION BY LIST (id)",
  "CREATE INDEX ON gt.gt_parts (t)",
  each(120, "CREATE TABLE gt.gt_part# PARTITION OF gt.gt_parts FOR VALUES IN (#)"),
  "CREATE TABLE gt.gt_wide (id int, t text)",
  "CREATE FUNCTION gt.of_wide(gt.gt_wide) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'",
  "ALTER TABLE gt.gt_wide ADD CHECK (gt.of_wide(gt_wide))",
  "CREATE FUNCTION gt.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
  each(
    120,
    'CREATE INDEX "gt odd ""#" ON gt.gt_wide (id)',
    'CREATE TRIGGER "odd ""#" BEFORE INSERT ON gt.gt_wide FOR EACH ROW EXECUTE FUNCTION gt.fire()',
  ),
  // The oldest stands on all that are newer.
  each(100, "CREATE VIEW gt.gt_v# AS SELECT 1 AS one"),
  `DO $do$ BEGIN FOR i IN REVERSE 99..1 LOOP
     EXECUTE format('CREATE OR REPLACE VIEW gt.gt_v%s AS SELECT one FROM gt.gt_v%s', i, i + 1);
   END LOOP; END $do$`,
  each(800, "CREATE FUNCTION gt.f#(a int DEFAULT 1, m gt.mood DEFAULT NULL) RETURNS int LANGUAGE sql RETURN 1"),
  "CREATE PROCEDURE gt.alike(IN a int, OUT b int) LANGUAGE sql AS 'SELECT 1'",
  "CREATE PROCEDURE gt.alike(IN a int, IN b int) LANGUAGE sql AS ''",
  "CREATE AGGREGATE gt.all_of(int) (SFUNC = int4pl, STYPE = int)",
  "CREATE FUNCTION gt.add(gt.mood, int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "CREATE OPERATOR gt.<-> (LEFTARG = gt.mood, RIGHTARG = int, FUNCTION = gt.add)",
];

describe("one that has more than the server has locks", () => {
  const objects = async (): Promise<number> => {
    const { rows } = await crowded.superuser.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_depend d JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        WHERE n.nspname = 'gt'`,
    );
    return rows[0]?.count ?? 0;
  };
  /** All objects, whosever, but for gt's and those of a moment. */
  const others = async (): Promise<readonly string[]> => {
    const { rows } = await crowded.superuser.query<{ name: string }>(
      `SELECT i.type || ' ' || i.identity AS name FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
        WHERE coalesce(i.schema, '') NOT IN ('gt', 'pg_toast') AND i.identity !~ '\\mgt|pg_temp|begun_drop|failed_drop|retired_'
        UNION SELECT rolname FROM pg_roles WHERE rolname !~ '^gt' ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  };
  let all = 0;
  let before: readonly string[] = [];

  beforeAll(async () => {
    crowded = await startTestServer(active, { max_connections: "100", max_locks_per_transaction: "10" });
    const { superuser } = crowded;
    await crowded.apply(active);
    await crowded.as(
      "agown",
      "CREATE TABLE ag_mine (id serial PRIMARY KEY); CREATE VIEW ag_view AS SELECT * FROM ag_mine",
    );
    // Without the guard it takes a tenth of the time.
    await superuser.query("SET session_replication_role = replica; SET ROLE gtown");
    for (const statement of crowd) await superuser.query(statement);
    await superuser.query("RESET ROLE; RESET session_replication_role");
    await crowded.apply(frozen);
    all = await objects();
    before = await others();
    expect(before).toContain("view ag.ag_view");
  });
  afterAll(() => crowded.stop());

  it("cannot be dropped at once", async () => {
    await expect(crowded.superuser.query("DROP SCHEMA gt CASCADE")).rejects.toThrow("out of shared memory");
  });

  it("is dropped a part at a time, which is known, and of which nobody but the platform tells", async () => {
    const { superuser } = crowded;
    expect(await foundGatherer(crowded)).toEqual({ isThere: true, hasSchema: true, begun: null, obstacles: [] });
    expect(await dropSome(crowded)).toBe(true);
    const left = await objects();
    expect(left).toBeGreaterThan(all / 2);
    expect(left).toBeLessThan(all);
    expect(await foundGatherer(crowded)).toEqual({ isThere: true, hasSchema: true, begun: backup, obstacles: [] });
    // With another backup nothing goes: what is gone is in that one.
    await expect(dropSome(crowded, "20261127T170000Z-logical")).rejects.toThrow(
      `nothing was dropped: what is gone already is in ${backup}`,
    );
    expect(await objects()).toBe(left);
    for (const role of ["gtown", "gtapp", "gtuser", "agown"]) {
      for (const forged of [
        "INSERT INTO platform.begun_drop VALUES ('ag', 'ag'::regnamespace, 'forged', now())",
        "UPDATE platform.begun_drop SET backup = 'forged'",
        "DELETE FROM platform.begun_drop",
        "DROP TABLE platform.begun_drop",
        "CREATE TABLE platform.forged ()",
      ]) {
        const tried = superuser.query(`SET LOCAL ROLE ${role}; ${forged}`);
        await expect(tried, `${role}: ${forged}`).rejects.toThrow(/permission denied|must be owner/);
      }
    }
  });

  it("is not taken for begun where the schema is another, or the table a service's", async () => {
    const { superuser } = crowded;
    await superuser.query("BEGIN; UPDATE platform.begun_drop SET schema = 'ag'::regnamespace");
    const rows = await superuser.query(begunDropsQuery());
    expect(rows.rowCount).toBe(0);
    await superuser.query("ROLLBACK; ALTER TABLE platform.begun_drop OWNER TO gtown");
    expect((await foundGatherer(crowded)).begun).toBeNull();
    await superuser.query("ALTER TABLE platform.begun_drop OWNER TO postgres");
    expect((await foundGatherer(crowded)).begun).toBe(backup);
  });

  it("is gone on with where it was killed, to its end; others' objects are what they were", async () => {
    const { superuser } = crowded;
    const times = await dropGatherer(crowded);
    expect(times).toBeGreaterThan(3);
    expect(await foundGatherer(crowded)).toEqual({ isThere: false, hasSchema: false, begun: null, obstacles: [] });
    expect((await superuser.query("SELECT FROM platform.begun_drop")).rowCount).toBe(0);
    expect(await others()).toEqual(before);
  });
});
