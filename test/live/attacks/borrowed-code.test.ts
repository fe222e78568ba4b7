import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogViolations } from "../../../ops/effect-test/catalog";
import { describeViolation } from "../../../ops/effect-test/attempt";
import { services } from "../../../services/registry";
import { answer, pastTheGuard, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Code of the gatherer that PostgreSQL runs without asking whoever runs it for the right to execute it.
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
  await server.as("agown", "CREATE TABLE ag_results (source text); INSERT INTO ag_results VALUES ('a secret')");
  gatherer = await takeOver(server, "gt");
  await gatherer.owner.query(
    `CREATE TABLE gt_t (id int); INSERT INTO gt_t SELECT generate_series(1, 400);
     CREATE FUNCTION gt_f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
     CREATE FUNCTION gt_eq(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 = $2; END';
     CREATE OPERATOR gt.### (FUNCTION = gt_eq, LEFTARG = int, RIGHTARG = int);
     CREATE FUNCTION gt_ok(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
     CREATE DOMAIN gt.checked AS int CHECK (gt_ok(VALUE));
     CREATE FUNCTION gt_diff(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 - $2; END';
     CREATE TYPE gt.letter AS ENUM ('a');
     CREATE FUNCTION gt_json(gt.letter) RETURNS json LANGUAGE plpgsql AS
       $$ DECLARE r text; BEGIN
            SELECT source INTO r FROM ag.ag_results; UPDATE ag.ag_results SET source = 'overwritten'; RETURN to_json(r);
          END $$`,
  );
  reader = await server.session("agapp");
});
afterAll(async () => {
  await gatherer.end();
  await reader.end();
  await server.stop();
});

describe("in a cast, which to_json looks for, or in the planner", () => {
  it.each([
    ["CREATE CAST", "CREATE CAST (gt.letter AS json) WITH FUNCTION gt_json(gt.letter)"],
    ["CREATE TRANSFORM", "CREATE TRANSFORM FOR gt.letter LANGUAGE plpgsql (FROM SQL WITH FUNCTION gt_f(int))"],
    ["CREATE CONVERSION", "CREATE CONVERSION gt.c FOR 'UTF8' TO 'LATIN1' FROM gt_f"],
  ])("it would run as whoever reads: %s is not for services", async (command, sql) => {
    for (const [tier, role] of [
      ["owner", "gtown"],
      ["app", "gtapp"],
    ] as const) {
      const session = gatherer[tier];
      expect(await answer(session, sql)).toBe(`${command} is not for ${role}: its code would run as whoever reads`);
    }
  });

  it("nor is a range type with a difference function of its own", async () => {
    expect(await answer(gatherer.owner, "CREATE TYPE gt.r AS RANGE (subtype = int4, subtype_diff = gt.gt_diff)")).toBe(
      "range type gt.r uses gt.gt_diff(integer,integer), which would run without a session of its own or as somebody else",
    );
    expect(
      await answer(gatherer.owner, "CREATE TYPE gt.r AS RANGE (subtype = int4, subtype_diff = int4range_subdiff)"),
    ).toBe("done");
  });

  it("made before the guard it hands over the reader's rows, and the effect test names it", async () => {
    await pastTheGuard(server, "gtown", "CREATE CAST (gt.letter AS json) WITH FUNCTION gt.gt_json(gt.letter)");
    await gatherer.owner.query("CREATE TABLE gt_letters (l gt.letter); INSERT INTO gt_letters VALUES ('a')");
    expect(await answer(reader, "SELECT to_json(l) FROM gt.gt_letters")).toBe("a secret");
    expect(await answer(reader, "SELECT source FROM ag_results")).toBe("overwritten");
    expect((await catalogViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "the guard: cast gt.letter AS json: expected no code of a service, got gt.gt_json(gt.letter)",
    ]);
    await gatherer.owner.query("DROP CAST (gt.letter AS json)");
  });
});

describe("in autovacuum, with no session to end", () => {
  it.each([
    ["an index's expression", "CREATE INDEX gt_i ON gt_t (gt_f(id))", "index gt.gt_i", "gt.gt_f(integer)"],
    ["its predicate", "CREATE INDEX gt_i ON gt_t (id) WHERE gt_ok(id)", "index gt.gt_i", "gt.gt_ok(integer)"],
    ["an operator", "CREATE INDEX gt_i ON gt_t ((id OPERATOR(gt.###) 1))", "index gt.gt_i", "gt.###(integer,integer)"],
    ["a domain's check", "CREATE INDEX gt_i ON gt_t ((id::gt.checked))", "index gt.gt_i", "gt.checked"],
    [
      "an exclusion",
      "ALTER TABLE gt_t ADD CONSTRAINT gt_i EXCLUDE (gt_f(id) WITH =)",
      "index gt.gt_i",
      "gt.gt_f(integer)",
    ],
    [
      "a new table's",
      "CREATE TABLE gt_n (id int, EXCLUDE (gt_f(id) WITH =))",
      "index gt.gt_n_gt_f_excl",
      "gt.gt_f(integer)",
    ],
    ["statistics", "CREATE STATISTICS gt.gt_s ON (gt_f(id)) FROM gt_t", "statistics gt.gt_s", "gt.gt_f(integer)"],
  ])("it would run as its owner for ever: %s is refused", async (_, sql, what, code) => {
    expect(await answer(gatherer.owner, sql)).toBe(
      `${what} uses ${code}, which would run without a session of its own or as somebody else`,
    );
  });

  it("not from a generated column, which is written by whoever writes, and may be indexed", async () => {
    const sql = "CREATE TABLE gt_g (id int, f int GENERATED ALWAYS AS (gt_f(id)) STORED); CREATE INDEX ON gt_g (f)";
    expect(await answer(gatherer.owner, sql)).toBe("done");
    expect(await answer(gatherer.owner, "CREATE INDEX ON gt_t (abs(id)) WHERE id > 7")).toBe("done");
  });

  it("made before the guard it is named by the effect test", async () => {
    await pastTheGuard(server, "gtown", "CREATE INDEX gt_i ON gt.gt_t (gt.gt_f(id))");
    expect((await catalogViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "the guard: index gt.gt_i: expected no code of a service, got gt.gt_f(integer)",
    ]);
    await gatherer.owner.query("DROP INDEX gt_i");
  });
});
