import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderDrop, retiredQuery } from "../../components/access/sql";
import type { FoundRetired } from "../../components/lifecycle/retired";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { startTestServer, testPlan, type TestServer } from "../support/server";

const gatherer = { code: "gt" };
const planOf = (changes: Partial<Service>, reads: readonly string[]) =>
  testPlan(
    services.slice(0, 3).map((service) => {
      if (service.name === "gatherer") return { ...service, ...changes };
      return service.name === "aggregator" ? { ...service, reads } : service;
    }),
  );
const active = planOf({}, ["gatherer"]);
const frozen = planOf({ lifecycle: "frozen" }, []);
const retired = planOf({ lifecycle: "retired", retiredBackups: { dev: "20261126T170000Z-logical" } }, []);
let server: TestServer;

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

async function found(): Promise<FoundRetired> {
  const results: unknown = await server.superuser.query(retiredQuery(gatherer));
  const rows = (results as readonly { readonly rows: readonly { json_build_object: FoundRetired }[] }[]).flatMap(
    (one) => one.rows,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("no row");
  return row.json_build_object;
}

const drop = () => server.superuser.query(renderDrop(gatherer));

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
      ALTER TABLE gt_before_20261127t101500.gt_old OWNER TO gtown`);
    // One that was kept when another took its place.
    await superuser.query("CREATE DATABASE kept TEMPLATE appdb");
    const { obstacles, ...is } = await found();
    expect(is).toEqual({ isThere: true, hasSchema: true });
    expect([...obstacles].sort()).toEqual([
      ...["gtapp", "gtown", "gtuser"].map(
        (role) => `database kept has what is of ${role}: dropdb -U postgres kept, where nobody needs it`,
      ),
      ...["gtapp", "gtown", "gtuser"].map((role) => `${role} may log in: the service is not frozen here`),
      "schema gt_before_20261127t101500 has what is of gtown: " +
        "DROP SCHEMA gt_before_20261127t101500 CASCADE, as superuser, where nobody needs it",
      "table column ag.ag_mine.kept of another service stands on it: its owner drops it first",
      "view ag.ag_view of another service stands on it: its owner drops it first",
    ]);
    await expect(drop()).rejects.toThrow(/nothing was dropped: gtown may log in/);
    await superuser.query("ROLLBACK");
    expect((await superuser.query("SELECT FROM gt.gt_kept")).rowCount).toBe(0);
  });

  it("goes whole, with its roles and their rights everywhere, and the others are what they were", async () => {
    const { superuser } = server;
    await superuser.query(
      "DROP VIEW ag.ag_view CASCADE; DROP TABLE ag.ag_mine; DROP SCHEMA gt_before_20261127t101500 CASCADE",
    );
    await superuser.query("DROP DATABASE kept");
    await superuser.query("CREATE DATABASE other");
    await superuser.query("GRANT CONNECT ON DATABASE other TO gtapp");
    await server.apply(frozen);
    expect(await found()).toEqual({ isThere: true, hasSchema: true, obstacles: [] });
    await drop();
    expect(await found()).toEqual({ isThere: false, hasSchema: false, obstacles: [] });
    await superuser.query("DROP DATABASE other");
    const { violations } = await testEffectOnProbes(retired, server, superuser);
    expect(violations.map(describeViolation)).toEqual([]);
    await drop(); // a second time: nothing
  });
});
