import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client, type QueryResult } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endSessions } from "../../../components/access/end-sessions";
import { frozenRoles } from "../../../components/access/plan-items";
import { scramVerifier } from "../../../components/access/scram";
import { renderPasswordNotes } from "../../../components/access/sql";
import { describeViolation } from "../../../ops/effect-test/attempt";
import { testEffect } from "../../../ops/effect-test/effect-test";
import { runAttempts } from "../../../ops/effect-test/run";
import type { ServerStatus } from "../../../ops/status/collect";
import { services } from "../../../services/registry";
import { tierRole, type Tier } from "../../../services/service";
import { answer, answers, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Whether the operator keeps the upper hand: the plan, the freeze, the effect test and the dump, while a taken-over gatherer
// does what it can against them.
const registry = services.filter(({ code }) => ["gt", "lg"].includes(code));
const plan = testPlan(registry);
const frozen = testPlan(
  registry.map((service) => (service.code === "gt" ? { ...service, lifecycle: "frozen" as const } : service)),
);
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (id int); INSERT INTO gt_own VALUES (1)");
  await server.as("lgown", "CREATE TABLE lg_balances (id int); INSERT INTO lg_balances VALUES (1)");
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.apply(plan);
  gatherer = await takeOver(server, "gt");
});
afterEach(async () => {
  await gatherer.end().catch(() => undefined); // some are ended by the server
});

/** `applied`, or why not. */
async function apply(applied: typeof plan): Promise<string> {
  try {
    await server.apply(applied);
    return "applied";
  } catch (error) {
    await server.superuser.query("ROLLBACK");
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs SQL again and again, a transaction each, until the returned function is called. */
function loop(session: Client, sql: string): () => Promise<void> {
  let stopped = false;
  const run = async () => {
    // Two of one role refuse each other as they would refuse the plan; one that the plan has ended is refused without a pause.
    while (!stopped) await session.query(sql).catch(() => sleep(1));
  };
  const running = run();
  return async () => {
    stopped = true;
    const tiers = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename ~ '^gt' AND state = 'active'";
    await server.superuser.query(tiers); // an owner's loop is the server's
    await running;
  };
}

/** Roles whose password is not the stack's, as `status` asks. */
async function notOurs(): Promise<readonly string[]> {
  const query = readFileSync(join(__dirname, "..", "..", "..", "ops", "status", "server.sql"), "utf8");
  const results = (await server.superuser.query(query)) as unknown as QueryResult<Record<string, ServerStatus>>[];
  const { passwords = [] } = Object.values(results.at(-1)?.rows[0] ?? {})[0] ?? {};
  expect(passwords.length).toBeGreaterThan(0);
  return passwords.filter(({ ours }) => !ours).map(({ role }) => role);
}

const inServer = (statements: string) => `DO $$ BEGIN LOOP ${statements}; COMMIT; END LOOP; END $$`;

describe("the plan is applied", () => {
  it.each([
    ["a user sets its own password in a loop", "user", "ALTER ROLE gtuser PASSWORD 'x'"],
    ["an app changes its own settings in a loop", "app", "ALTER ROLE gtapp SET work_mem = '1MB'"],
    ["an owner alters a table in a loop", "owner", inServer("ALTER TABLE gt.gt_own SET (fillfactor = 50)")],
    [
      "an owner makes and drops tables in a loop",
      "owner",
      inServer("CREATE TABLE gt.gt_x (); COMMIT; DROP TABLE gt.gt_x"),
    ],
    [
      "an owner makes and drops functions in a loop",
      "owner",
      inServer("CREATE FUNCTION gt.gt_f() RETURNS int LANGUAGE sql RETURN 1; COMMIT; DROP FUNCTION gt.gt_f()"),
    ],
  ] as const)("while %s", async (_, tier, sql) => {
    const second = await server.session(tierRole("gt", tier));
    if (tier !== "owner") await second.query("SET default_transaction_read_only = off");
    const stops = [gatherer[tier], ...(tier === "owner" ? [] : [second])].map((session) => loop(session, sql));
    const outcomes: string[] = [];
    for (let n = 0; n < 8; n++) outcomes.push(await apply(plan));
    for (const stop of stops) await stop();
    await second.end();
    expect(outcomes).toEqual(Array<string>(8).fill("applied"));
  });

  it.each([
    ["applied", plan],
    ["applied, frozen", frozen],
  ])(
    "also while an owner holds catalogs by INHERITS in a loop, as many as may come back at once: %s",
    async (_, applied) => {
      await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_lock (id int)");
      await gatherer.app.query(
        "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE gt_lock IN SHARE UPDATE EXCLUSIVE MODE",
      );
      await gatherer.owner.end();
      const stop = new AbortController();
      // Until it is shut out or the test is over; a session that is ended comes back.
      const held = async (catalog: string, timeout: string) => {
        while (!stop.signal.aborted) {
          const session = await server.session("gtown").catch(() => undefined);
          if (session === undefined) {
            await sleep(20);
            continue;
          }
          let said = await answer(session, `SET lock_timeout = '${timeout}'`);
          while (/^done$|lock timeout/.test(said)) {
            said = await answer(session, `CREATE TABLE gt_x () INHERITS (pg_catalog.${catalog}, gt_lock)`);
          }
          await session.end().catch(() => undefined);
        }
      };
      const attackers = [held("pg_default_acl", "10s"), held("pg_proc", "3s")];
      await sleep(1000);
      const outcomes = [await apply(applied), await apply(applied)];
      stop.abort();
      await server.superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ~ '^gt'");
      await Promise.all(attackers);
      expect(outcomes).toEqual(["applied", "applied"]);
    },
  );

  it.each(["pg_shdepend", "pg_proc"])(
    "open: not where an owner asks for %s whole by ATTACH PARTITION, behind readers, and both come back faster than the plan locks it: it changes nothing then",
    async (catalog) => {
      await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_ids (id int) PARTITION BY LIST (id)");
      await gatherer.end();
      const stop = new AbortController();
      const isOver = () => stop.signal.aborted;
      // A session that is ended comes back; who is shut out tries on.
      const comeBack = async (tier: Tier, sql: string) => {
        while (!isOver()) {
          const session = await server.session(tierRole("gt", tier)).catch(() => undefined);
          if (session === undefined) await sleep(5);
          else {
            await answer(session, "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0");
            await answer(session, sql);
            while (!isOver() && (await answer(session, "SELECT 1")) === "1") await sleep(20);
            await session.end().catch(() => undefined);
          }
        }
      };
      const attach = `ALTER TABLE gt.gt_ids ATTACH PARTITION pg_catalog.${catalog}
                        FOR VALUES IN (length(set_config('lock_timeout', '0', true)))`;
      const attackers = [
        ...(["app", "app", "user"] as const).map((tier) => comeBack(tier, `BEGIN; SELECT count(*) FROM ${catalog}`)),
        ...(["owner", "owner"] as const).map((tier) => comeBack(tier, attach)),
      ];
      await sleep(1000);
      const outcomes = [await apply(plan), await apply(frozen)];
      stop.abort();
      // Whoever waits for the catalog would be waited for.
      for (
        let left = "1";
        left !== "0";
        left = await answer(server.superuser, "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE usesysid > 16383")
      ) {
        await server.superuser.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) WHERE usesysid > 16383",
        );
        await sleep(20);
      }
      await Promise.all(attackers);
      for (const outcome of outcomes) expect(["applied", "canceling statement due to lock timeout"]).toContain(outcome);
      expect(await apply(frozen)).toBe("applied");
      expect(await apply(plan)).toBe("applied");
    },
  );

  it("also while somebody has looked an event trigger of the guard up and not committed", async () => {
    const lookup = "SELECT pg_get_object_address('event trigger', '{enforce_prefix}', '{}')";
    expect(await answers(gatherer, lookup)).toBe("permission denied for function pg_get_object_address");
    // Where somebody has it all the same, as before this plan.
    await server.superuser.query(
      "GRANT EXECUTE ON FUNCTION pg_get_object_address(text, text[], text[]) TO gtuser; GRANT EXECUTE ON FUNCTION array_in(cstring, oid, integer) TO gtuser",
    );
    expect(await answer(gatherer.user, `BEGIN; ${lookup}`)).not.toContain("denied");
    expect(await apply(plan)).toBe("applied");
  });

  it("where a role has changed the row of the database, by a GRANT that gives nothing: its session is ended", async () => {
    await gatherer.user.query("BEGIN; GRANT CONNECT ON DATABASE appdb TO gtuser");
    expect(await apply(plan)).toBe("applied");
    expect(await answer(gatherer.user, "COMMIT")).not.toBe("done");
  });

  it("while a user has the database's numbers written in a loop, twice at once, and others compute", async () => {
    const second = await server.session("gtuser");
    const busy = await Promise.all([1, 2, 3, 4].map(() => server.session("gtapp")));
    const vacuum = "VACUUM (ONLY_DATABASE_STATS)";
    const stops = [
      loop(gatherer.user, vacuum),
      loop(second, vacuum),
      ...[gatherer.app, ...busy].map((one) =>
        loop(one, "SELECT count(*) FROM generate_series(1, 3000000) g WHERE sqrt(g::numeric) < 0"),
      ),
    ];
    const results: string[] = [];
    for (let left = 6; left > 0; left--) results.push(await apply(plan));
    await Promise.all(stops.map((stop) => stop()));
    for (const one of [second, ...busy]) await one.end().catch(() => undefined);
    expect(results).toEqual(Array(6).fill("applied"));
  });

  it("where a role holds the lock on its own row: its session is ended, nobody else's", async () => {
    const bystander = await server.session("lgapp");
    await gatherer.user.query("BEGIN; ALTER ROLE gtuser SET work_mem = '1MB'");
    expect(await apply(plan)).toBe("applied");
    expect(await answer(gatherer.user, "SELECT 1")).not.toBe("1");
    expect(await answer(gatherer.app, "SELECT 1")).toBe("1");
    expect(await answer(bystander, "SELECT 1")).toBe("1");
    await bystander.end();
  });

  it("also where one session of an owner waits for a catalog with another in its hands, again and again", async () => {
    const other = await server.session("gtown");
    const attack = `SET lock_timeout = 0; SET statement_timeout = 0;
      DO $$ DECLARE n int; BEGIN
        BEGIN PERFORM nextval('pg_attribute'::regclass); EXCEPTION WHEN OTHERS THEN NULL; END;
        LOOP
          SELECT count(*) INTO n FROM pg_lock_status() l WHERE l.relation = 'pg_attribute'::regclass AND NOT l.granted;
          EXIT WHEN n > 0;
          PERFORM pg_sleep(0.01);
        END LOOP;
        FOR i IN 1..20 LOOP
          BEGIN PERFORM nextval('pg_class'::regclass); EXIT;
          EXCEPTION WHEN deadlock_detected THEN NULL; WHEN OTHERS THEN EXIT; END;
        END LOOP;
      END $$`;
    const attacking = answer(other, attack);
    const held =
      "SELECT count(*) FROM pg_locks WHERE relation = 'pg_attribute'::regclass AND mode = 'RowExclusiveLock'";
    await expect.poll(() => answer(server.superuser, held)).not.toBe("0");
    expect(await apply(plan)).toBe("applied");
    expect(await attacking).toContain("terminating connection due to administrator command");
    await other.end().catch(() => undefined);
  });

  it("also where one of its sessions makes it wait, and the next logs in meanwhile and takes a catalog", async () => {
    const take = async (session: Client, catalog: string) => {
      await session.query("SET idle_in_transaction_session_timeout = 0; BEGIN");
      await answer(session, `SAVEPOINT s; SELECT nextval('${catalog}'::regclass)`);
      await session.query("ROLLBACK TO s");
    };
    await take(gatherer.owner, "pg_authid");
    const applied = apply(plan);
    await sleep(500);
    const second = await server.session("gtown");
    await take(second, "pg_proc");
    expect(await applied).toBe("applied");
    expect(await answer(second, "SELECT 1")).not.toBe("1");
  });

  it("not where it grants anew on tables an owner has altered and not committed: one error after 10 s, nothing changed", async () => {
    await gatherer.owner.query("BEGIN; ALTER TABLE gt_own SET (fillfactor = 50)");
    const more = testPlan(
      registry.map((service) => (service.code === "lg" ? { ...service, reads: ["gatherer"] } : service)),
    );
    const begun = performance.now();
    expect(await apply(more)).toContain("canceling statement due to lock timeout");
    expect(performance.now() - begun).toBeLessThan(19_000); // for one table, whoever is to read it
    await gatherer.owner.query("ROLLBACK");
    expect(await apply(plan)).toBe("applied");
  });

  it("also while an owner has altered a table and not committed, which an honest migration does, where nothing is to be granted on it", async () => {
    await gatherer.owner.query("BEGIN; ALTER TABLE gt_own ADD COLUMN more int");
    expect(await apply(plan)).toBe("applied");
    await gatherer.owner.query("ROLLBACK");
  });

  it("whatever an owner writes into a partition's bound: where it leaves no room for grants, it is refused", async () => {
    await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_list (v text) PARTITION BY LIST (v)");
    const partition = (length: number) =>
      answer(
        gatherer.owner,
        `CREATE TABLE gt_list_p PARTITION OF gt_list FOR VALUES IN ('${randomBytes(6000).toString("base64").slice(0, length)}')`,
      );
    expect(await partition(5000)).toMatch(
      /^catalog row gt.gt_list_p uses \d+ bytes of a page of pg_class, and leaves no room for grants, at which the plan fails/,
    );
    expect(await partition(2000)).toBe("done");
    await gatherer.owner.query("DROP TABLE gt_list");
  });

  it("goes by a table whose row of pg_class has no room for a grant, and the effect test names it", async () => {
    const digits = Array.from({ length: 7900 }, () => Math.floor(Math.random() * 10)).join("");
    let made = "";
    for (let length = 7900; made !== "done" && length > 7000; length -= 4) {
      const table = `CREATE TABLE gt_wide WITH (autovacuum_vacuum_scale_factor = '0.${digits.slice(0, length)}') AS SELECT 1 AS x`;
      made = (await answer(gatherer.owner, `EXPLAIN ANALYZE ${table}`)).startsWith("row is too big") ? "" : "done";
    }
    const more = testPlan(
      registry.map((service) => (service.code === "lg" ? { ...service, reads: ["gatherer"] } : service)),
    );
    expect(await apply(more)).toBe("applied");
    const { violations } = await testEffect(more, server, server.superuser);
    expect(violations.map(describeViolation).join("\n")).toContain("catalog row gt.gt_wide");
    expect(violations.every((violation) => describeViolation(violation).includes("gt.gt_wide"))).toBe(true);
    await gatherer.owner.query("DROP TABLE gt_wide");
    expect(await apply(plan)).toBe("applied");
  });

  it.each([
    ["a password of its own", "'mine'"],
    ["none", "NULL"],
    [
      "a verifier of megabytes, which nobody computes on",
      `'SCRAM-SHA-256$4096:${"A".repeat(3_000_000)}$${"A".repeat(43)}=:${"A".repeat(43)}='`,
    ],
  ])(
    "a role with %s is named by status, also where it came between a login and the notes of passwords",
    async (_, is) => {
      const verifiers = new Map([...server.passwords].map(([role, secret]) => [role, scramVerifier(role, secret)]));
      const notes = renderPasswordNotes(verifiers);
      await server.superuser.query(notes);
      expect(await notOurs()).toEqual([]);
      await gatherer.user.query(`ALTER ROLE gtuser PASSWORD ${is}`);
      expect(await notOurs()).toEqual(["gtuser"]);
      await server.superuser.query(notes);
      expect(await notOurs()).toEqual(["gtuser"]);
    },
  );

  it("without a role's own settings, also where they let nobody log in as it", async () => {
    await gatherer.user.query("ALTER ROLE gtuser SET local_preload_libraries = 'nothing'");
    await expect(server.as("gtuser", "SELECT 1")).rejects.toThrow('could not access file "$libdir/plugins/nothing"');
    expect(await apply(plan)).toBe("applied");
    await server.as("gtuser", "SELECT 1");
  });
});

describe("a freeze", () => {
  it("is applied while an owner holds a table it has altered: its sessions are ended first", async () => {
    await gatherer.owner.query("BEGIN; ALTER TABLE gt_own ADD COLUMN more int");
    expect(await apply(frozen)).toBe("applied");
    expect(await answer(gatherer.owner, "COMMIT")).not.toBe("done");
    expect(await endSessions(server.superuser, frozenRoles(frozen))).toBe(0);
  });

  it("is not outlived by a login under way, which pg_stat_activity does not show yet", async () => {
    const { host, port, database, passwords } = server;
    const options = "-c post_auth_delay=30";
    const late = new Client({ host, port, database, user: "gtuser", password: passwords.get("gtuser"), options });
    late.on("error", () => undefined);
    const login = late.connect().then(
      () => "let in",
      () => "refused",
    );
    await sleep(500);
    expect(await apply(frozen)).toBe("applied");
    await endSessions(server.superuser, frozenRoles(frozen));
    await login;
    expect(await answer(late, "SELECT 1")).not.toBe("1");
    await late.end().catch(() => undefined);
  });
});

describe("the effect test", () => {
  it("names a role that changed its own settings, and nothing else", async () => {
    await gatherer.user.query(
      "ALTER ROLE gtuser SET search_path = pg_catalog; ALTER ROLE gtuser SET statement_timeout = 0",
    );
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual([
      "gtuser: setting search_path: expected gt, extensions, got pg_catalog",
      "gtuser: setting statement_timeout: expected 30000, got 0",
    ]);
  });

  it("is not stopped by a role whose sessions end at once, and names it", async () => {
    await gatherer.user.query(
      "ALTER ROLE gtuser SET idle_session_timeout = 1; ALTER ROLE gtuser SET statement_timeout = 1",
    );
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual(
      expect.arrayContaining([
        "gtuser: setting idle_session_timeout: expected not set, got 1",
        "gtuser: setting statement_timeout: expected 30000, got 1",
      ]),
    );
    expect(violations.filter(({ role }) => role !== "gtuser")).toEqual([]);
  });

  it("is not stopped by a type of an owner's that a role has in front of PostgreSQL's own, and whose check never ends", async () => {
    await gatherer.owner.query(
      `CREATE FUNCTION gt.endless() RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN
           LOOP
             BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END;
           END LOOP;
         END $$;
       CREATE DOMAIN gt.oid AS pg_catalog.oid CHECK (gt.endless())`,
    );
    await gatherer.app.query("ALTER ROLE gtapp SET search_path = gt, pg_catalog");
    try {
      const { violations } = await testEffect(plan, server, server.superuser);
      expect(violations.map(describeViolation)).toEqual([
        "gtapp: setting search_path: expected gt, extensions, got gt, pg_catalog",
      ]);
      // Whatever else a role finds that never ends: it is named, and the others are tried.
      const endless = { role: "gtapp", action: "an attempt that never ends", sql: "SELECT gt.endless()" };
      const allowed = { expected: "allowed" as const };
      const attempts = [
        { ...endless, ...allowed },
        { ...endless, ...allowed, action: "never tried" },
        { role: "lgapp", action: "CREATE TABLE", sql: "CREATE TABLE lg.lg_x ()", ...allowed },
      ];
      expect((await runAttempts(server, attempts, 1000)).map(describeViolation)).toEqual([
        expect.stringContaining("gtapp: an attempt that never ends: expected allowed, got error: no answer in time"),
        "lgapp: CREATE TABLE: expected allowed, got denied",
      ]);
    } finally {
      await server.superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gtapp'");
      await gatherer.owner.query("DROP DOMAIN gt.oid; DROP FUNCTION gt.endless()");
    }
  });

  it("is not stopped by a name that an open transaction has taken, where the role set its timeouts away", async () => {
    await gatherer.owner.query("ALTER ROLE gtown SET lock_timeout = 0");
    await gatherer.owner.query("BEGIN; CREATE TABLE gt_probe_boundary ()");
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual(["gtown: setting lock_timeout: expected 10s, got 0"]);
  });

  it("tries again where tables are dropped and made under its hands, as migrations do", async () => {
    await gatherer.owner.query("CREATE TABLE gt_there (id int)");
    // The drop comes when the tables are listed and the logins have begun.
    const began = "SELECT FROM pg_stat_activity WHERE usename = 'lgown'";
    const migration = (async () => {
      while ((await gatherer.owner.query(began)).rowCount === 0) await sleep(1);
      await gatherer.owner.query("DROP TABLE gt_there");
    })();
    const { violations } = await testEffect(plan, server, server.superuser);
    await migration;
    expect(violations.map(describeViolation)).toEqual([]);
  });

  it("accuses nobody where a catalog in which names are looked up is locked", async () => {
    const { host, port, superuser } = server;
    const other = new Client({ host, port, user: "postgres", password: superuser.password, database: plan.database });
    await other.connect();
    const testing = testEffect(plan, server, server.superuser);
    await sleep(250);
    await other.query("BEGIN; LOCK TABLE pg_proc IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); ROLLBACK");
    await other.end();
    const { violations } = await testing;
    expect(violations.filter(({ got }) => got === "allowed")).toEqual([]);
  });

  it("is not stopped by tables that are locked", async () => {
    await gatherer.app.query("BEGIN; LOCK TABLE gt_own IN ACCESS EXCLUSIVE MODE");
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual([]);
  });
});

describe("thousands of tables of one owner, made past the guard", () => {
  const makeTables = async () => {
    await gatherer.owner.query(
      `DO $$ BEGIN
         FOR n IN 1..3000 LOOP EXECUTE format('EXPLAIN ANALYZE CREATE TABLE gt_many_%s AS SELECT', n); END LOOP;
       END $$`,
    );
  };
  afterEach(async () => {
    await server.superuser.query(
      "DO $$ BEGIN FOR n IN 1..3000 LOOP EXECUTE format('DROP TABLE gt.gt_many_%s', n); COMMIT; END LOOP; END $$",
    );
  });

  it("are not looked at when another owner creates something", async () => {
    const read = async (sql: string) => {
      const ledger = await server.session("lgown");
      await ledger.query(`BEGIN; ${sql}`);
      const rows = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int AS n FROM pg_stat_xact_sys_tables";
      const { n } = (await ledger.query<{ n: number }>(rows)).rows[0] ?? { n: NaN };
      await ledger.query("ROLLBACK");
      await ledger.end();
      return n;
    };
    const creations = [
      "CREATE TABLE lg_new (id int PRIMARY KEY, name text)",
      "CREATE INDEX ON lg_balances (id)",
      "CREATE VIEW lg_view AS SELECT id FROM lg_balances",
    ];
    const rowsRead = async () => {
      await server.superuser.query("ANALYZE pg_class; ANALYZE pg_type; ANALYZE pg_depend");
      const all: number[] = [];
      for (const creation of creations) all.push(await read(creation));
      return all;
    };
    const before = await rowsRead();
    await makeTables();
    const more = (await rowsRead()).map((rows, index) => rows - (before[index] ?? NaN));
    for (const rows of more) expect(rows).toBeLessThan(3000);
  });

  it("are tried in part by the effect test, which says of how many", async () => {
    await makeTables();
    const there = await answer(
      server.superuser,
      "SELECT count(*) FROM pg_class WHERE relnamespace = 'gt'::regnamespace AND relkind IN ('r', 'p')",
    );
    const { violations, attempts, samples } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual([]);
    expect(samples).toEqual([{ schema: "gt", tables: Number(there) }]);
    expect(attempts).toBeLessThan(3000);
  });
});

describe("a dump as app", () => {
  /** What pg_dump runs as app, with --lock-wait-timeout, of these schemas. */
  const dump = async (schemas: readonly string[]): Promise<string> => {
    const app = await server.session("app");
    const { rows } = await app.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname = ANY ($1) AND relkind = 'r'`,
      [schemas],
    );
    const tables = rows.map(({ name }) => name);
    await app.query("SELECT set_config('search_path', '', false); SET row_security = off; SET lock_timeout = '200ms'");
    await app.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    const said = await answer(
      app,
      `LOCK TABLE ${tables.join(", ")} IN ACCESS SHARE MODE;
       ${tables.map((name) => `COPY ${name} TO STDOUT`).join("; ")}; COMMIT`,
    );
    await app.end();
    return said;
  };

  it("a role another could not drop any more is named by nobody's policy", async () => {
    const policy = (role: string) => answer(gatherer.owner, `CREATE POLICY of_role ON gt_own TO ${role} USING (true)`);
    for (const role of ["lgown", "gtuser, lgapp", "app"]) expect(await policy(role)).toContain("uses");
    expect(await policy("gtuser")).toBe("done");
    expect(await answer(gatherer.owner, "ALTER POLICY of_role ON gt_own TO lgown")).toContain("uses");
    await gatherer.owner.query("DROP POLICY of_role ON gt_own");
  });

  it("reads every table, whatever policy an owner made", async () => {
    await gatherer.owner.query(
      `ALTER TABLE gt_own ENABLE ROW LEVEL SECURITY; ALTER TABLE gt_own FORCE ROW LEVEL SECURITY;
       CREATE POLICY p ON gt_own USING (1 / (id - 1) = 0)`,
    );
    expect(await dump(["gt", "lg"])).toBe("done");
    await gatherer.owner.query("DROP POLICY p ON gt_own; ALTER TABLE gt_own DISABLE ROW LEVEL SECURITY");
  });

  it("open: fails whole where one app holds a lock on one table of its own; a dump of each service fails for that one only", async () => {
    await gatherer.app.query("BEGIN; LOCK TABLE gt_own IN ACCESS EXCLUSIVE MODE");
    expect(await dump(["gt", "lg"])).toBe("canceling statement due to lock timeout");
    expect(await dump(["gt"])).toBe("canceling statement due to lock timeout");
    expect(await dump(["lg"])).toBe("done");
    await gatherer.app.query("ROLLBACK");
    expect(await dump(["gt", "lg"])).toBe("done");
    expect(await answer(gatherer.user, "BEGIN; LOCK TABLE gt_own IN ACCESS EXCLUSIVE MODE")).toBe(
      "permission denied for table gt_own",
    );
  });
});
