import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dropGatherer, dropSome, each, foundGatherer, planOfGatherer } from "../support/retire";
import { startTestServer, type TestServer } from "../support/server";

const active = planOfGatherer({});
const frozen = planOfGatherer({ lifecycle: "frozen" });
const nothing = { isThere: false, hasSchema: false, begun: null, obstacles: [] };
let server: TestServer;

/** Gatherer is on a server, with what these statements make in its schema, and frozen. Without the guard it takes a tenth of the time. */
async function gathererHas(on: TestServer, ...statements: readonly string[]): Promise<void> {
  const { superuser } = on;
  await on.apply(active);
  await superuser.query("SET session_replication_role = replica; SET ROLE gtown");
  try {
    for (const statement of statements) await superuser.query(statement);
  } finally {
    await superuser.query("RESET ROLE; RESET session_replication_role");
  }
  await on.apply(frozen);
}

beforeAll(async () => {
  // Locks for four hundred objects.
  const few = {
    max_connections: "20",
    max_wal_senders: "0",
    max_worker_processes: "0",
    max_locks_per_transaction: "10",
  };
  server = await startTestServer(active, few);
});
afterAll(() => server.stop());

/** Each is made by `first`, and once more by `then` upon the next, the last upon the first; `#` is the number, `@` the next one's. */
const ringOf = (first: string, then: string) => [
  each(450, first),
  `DO $do$ BEGIN FOR i IN 1..450 LOOP
     EXECUTE replace(replace($x$${then}$x$, '@', (i % 450 + 1)::text), '#', i::text); COMMIT;
   END LOOP; END $do$`,
];

describe("a service whose objects stand on each other in a ring that takes more than the server has locks", () => {
  it.each<[string, readonly string[]]>([
    [
      "views",
      [
        "CREATE TYPE gt.mood AS ENUM ('good', 'bad')",
        "CREATE DOMAIN gt.odd AS gt.mood DEFAULT 'bad' CHECK (value <> 'good')",
        "CREATE DOMAIN gt.odder AS gt.odd",
        ...ringOf(
          `CREATE VIEW gt."gt_v ""#" AS SELECT 1 AS x, NULL::numeric(10,2) AS n, NULL::varchar(5) COLLATE "C" AS "a b",
                  NULL::interval day to second(3) AS i, NULL::gt.odder AS o, NULL::gt.mood[] AS m, NULL::"char" AS c`,
          'CREATE OR REPLACE VIEW gt."gt_v ""#" AS SELECT * FROM gt."gt_v ""@"',
        ),
        "CREATE VIEW gt.gt_nothing AS SELECT",
        "CREATE MATERIALIZED VIEW gt.gt_kept AS SELECT 1 AS x",
      ],
    ],
    [
      "functions, by what they call and by defaults",
      [
        ...ringOf(
          `CREATE FUNCTION gt.f#(a int, INOUT "b c" text DEFAULT 'x', VARIADIC int[] DEFAULT '{}', OUT d int) LANGUAGE sql RETURN ('x', 1)`,
          `CREATE OR REPLACE FUNCTION gt.f#(a int, INOUT "b c" text DEFAULT 'x', VARIADIC int[] DEFAULT '{}', OUT d int)
             LANGUAGE sql RETURN gt.f@(1)`,
        ),
        ...ringOf(
          "CREATE FUNCTION gt.t#() RETURNS TABLE (c int) LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
          "CREATE OR REPLACE FUNCTION gt.t#() RETURNS TABLE (c int) LANGUAGE sql BEGIN ATOMIC SELECT c FROM gt.t@(); END",
        ),
        ...ringOf(
          "CREATE FUNCTION gt.s#(int, int) RETURNS int LANGUAGE sql RETURN 1; CREATE AGGREGATE gt.g#(int) (SFUNC = gt.s#, STYPE = int)",
          "CREATE OR REPLACE FUNCTION gt.s#(int, int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT gt.g@(1); END",
        ),
        ...ringOf(
          "CREATE FUNCTION gt.a#(anyelement, c anyelement DEFAULT 1, b int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
          `CREATE OR REPLACE FUNCTION gt.a#(anyelement, c anyelement DEFAULT 1, b int DEFAULT gt.a@(1)) RETURNS int
             LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'`,
        ),
      ],
    ],
    [
      "domains, by their defaults",
      ringOf(
        "CREATE DOMAIN gt.d# AS int; CREATE FUNCTION gt.f#(gt.d#) RETURNS int LANGUAGE sql RETURN 1",
        "ALTER DOMAIN gt.d# SET DEFAULT gt.f@(NULL::gt.d@)",
      ),
    ],
  ])("goes, a part at a time: %s", { timeout: 120_000 }, async (_, statements) => {
    await gathererHas(server, ...statements);
    await expect(server.superuser.query("DROP SCHEMA gt CASCADE")).rejects.toThrow("out of shared memory");
    expect(await dropSome(server)).toBe(true);
    // A dump that comes between two of them.
    await server.superuser.query(`DO $do$ DECLARE one record; BEGIN
      FOR one IN SELECT relkind, oid FROM pg_class WHERE relkind = 'v' AND relnamespace = 'gt'::regnamespace
                  UNION ALL SELECT 'f', oid FROM pg_proc WHERE prokind = 'f' AND pronamespace = 'gt'::regnamespace
      LOOP
        PERFORM CASE one.relkind WHEN 'v' THEN pg_get_viewdef(one.oid) ELSE pg_get_functiondef(one.oid) END;
        COMMIT;
      END LOOP; END $do$`);
    expect(await dropGatherer(server)).toBeGreaterThan(1);
    expect(await foundGatherer(server)).toEqual(nothing);
  });
});

describe("a service with thousands of objects that cannot be dropped alone", () => {
  it("keeps nobody for longer than a part may take, and goes with what they are of", { timeout: 120_000 }, async () => {
    const roomy = await startTestServer(active);
    await gathererHas(
      roomy,
      // A check cannot be dropped that is inherited.
      "CREATE TABLE gt.gt_parts (id int) PARTITION BY LIST (id)",
      each(110, "ALTER TABLE gt.gt_parts ADD CONSTRAINT c# CHECK (id > -#)"),
      each(40, "CREATE TABLE gt.gt_part# PARTITION OF gt.gt_parts FOR VALUES IN (#)"),
    );
    let longestMs = 0;
    for (let isLeft = true; isLeft;) {
      const began = Date.now();
      isLeft = await dropSome(roomy);
      longestMs = Math.max(longestMs, Date.now() - began);
    }
    expect(await foundGatherer(roomy)).toEqual(nothing);
    expect(longestMs).toBeLessThan(6000);
    await roomy.stop();
  });
});

describe("a service that has more aggregates than the server has locks", () => {
  it("goes: those of *, of ordered sets, of any", async () => {
    await gathererHas(
      server,
      "CREATE FUNCTION gt.add(int, int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
      each(
        450,
        "CREATE AGGREGATE gt.all#(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0')",
        "CREATE AGGREGATE gt.ordered#(float8 ORDER BY int, text) (SFUNC = gt.add, STYPE = int)",
      ),
    );
    // Whoever may use internal types is a superuser.
    await server.superuser.query(
      each(
        450,
        `CREATE AGGREGATE gt.any#(VARIADIC "any" ORDER BY VARIADIC "any")
           (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL)`,
      ),
    );
    await dropGatherer(server);
    expect(await foundGatherer(server)).toEqual(nothing);
  });
});

describe("a lock on what is dropped", () => {
  /** Of a role that may not read it: nextval() locks before it looks, and a savepoint does not give that back. */
  async function lock(session: Client): Promise<void> {
    const { rows } = await session.query<{ oid: number }>("SELECT oid FROM pg_class WHERE relname = 'gt_data'");
    await session.query("SET idle_in_transaction_session_timeout = 0; BEGIN; SAVEPOINT s");
    await expect(session.query(`SELECT nextval(${rows[0]?.oid})`)).rejects.toThrow("is not a sequence");
    await session.query("ROLLBACK TO s");
  }

  it("by other services is taken from them, also where they come back at once", async () => {
    await gathererHas(server, "CREATE TABLE gt.gt_data (id int); CREATE VIEW gt.gt_view AS SELECT FROM gt.gt_data");
    await lock(await server.session("agown"));
    let ended = 0;
    let isOver = false;
    const comeBack = async () => {
      while (!isOver) {
        const session = await server.session("scapp");
        await lock(session)
          .then(() => session.query("SELECT pg_sleep(60)"))
          .catch(() => ended++);
        await session.end().catch(() => undefined);
      }
    };
    const working = [comeBack(), comeBack(), comeBack()];
    await expect.poll(async () => (await lockers()).length, { timeout: 20_000 }).toBe(4);
    await dropGatherer(server);
    isOver = true;
    await Promise.all(working);
    expect(ended).toBeGreaterThanOrEqual(3);
    expect(await foundGatherer(server)).toEqual(nothing);
  });

  it("by who is no service keeps it, and who that is is told", async () => {
    await gathererHas(server, "CREATE TABLE gt.gt_data (id int)");
    const dump = await server.session("app");
    await dump.query("BEGIN; SELECT FROM gt.gt_data");
    const [pid] = await lockers();
    await expect(dropGatherer(server)).rejects.toThrow(
      `locked by others: app (process ${pid}) has AccessShareLock on table gt.gt_data`,
    );
    await dump.query("COMMIT");
    await dump.end();
    await dropGatherer(server);
    expect(await foundGatherer(server)).toEqual(nothing);
  });

  async function lockers(): Promise<readonly number[]> {
    const { rows } = await server.superuser.query<{ pid: number }>(
      "SELECT pid FROM pg_locks JOIN pg_class c ON c.oid = relation WHERE relname = 'gt_data' AND granted",
    );
    return rows.map(({ pid }) => pid);
  }
});
