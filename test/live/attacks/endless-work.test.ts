import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endSessions } from "../../../components/access/end-sessions";
import { services } from "../../../services/registry";
import { answer, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Where PostgreSQL's own limits end: work no signal stops, the predicate locks all share, files beyond a process's limit.
const plan = testPlan(
  services
    .filter(({ code }) => ["gt", "lg"].includes(code))
    .map((service) => (service.code === "gt" ? { ...service, tempFileLimitMiB: 8 } : service)),
);
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (id int)");
  await server.as("lgown", "CREATE TABLE lg_balances (id int); INSERT INTO lg_balances VALUES (1)");
});
afterAll(() => server.stop());
beforeEach(async () => {
  gatherer = await takeOver(server, "gt");
});
afterEach(() => gatherer.end().catch(() => undefined)); // the last ones are ended by the server

describe("open: SERIALIZABLE transactions of all share one table of predicate locks", () => {
  it("one session fills it, and those of others fail until it ends", async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_pages (part int, id int, filler text STORAGE PLAIN) PARTITION BY LIST (part);
       CREATE INDEX gt_pages_id ON gt_pages (id);
       DO $$ BEGIN FOR n IN 1..500 LOOP
         EXECUTE format('CREATE TABLE gt_pages_%s PARTITION OF gt_pages FOR VALUES IN (%s)', n, n);
       END LOOP; END $$;
       INSERT INTO gt_pages SELECT n, id, repeat('x', 3900) FROM generate_series(1, 500) n, generate_series(1, 30) id`,
    );
    const ids = Array.from({ length: 30 }, (_, n) => n + 1).join(",");
    await gatherer.app.query(
      `SET enable_seqscan = off; SET enable_bitmapscan = off;
       BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT s; SELECT count(*) FROM gt_pages WHERE part <= 400 AND id IN (${ids})`,
    );
    let last = "";
    for (let part = 401; last !== "out of shared memory" && part <= 500; part++)
      last = await answer(gatherer.app, `SELECT count(*) FROM gt_pages WHERE part = ${part} AND id IN (${ids})`);
    expect(last).toBe("out of shared memory");
    await gatherer.app.query("ROLLBACK TO s"); // what the transaction has locked stays locked

    const ledger = await server.session("lgapp");
    const serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM lg_balances";
    expect(await answer(ledger, serializable)).toBe("out of shared memory");
    expect(await answer(ledger, "ROLLBACK; BEGIN; SELECT count(*) FROM lg_balances")).toBe("1");
    await gatherer.app.query("ROLLBACK");
    expect(await answer(ledger, `ROLLBACK; ${serializable}`)).toBe("1");
    await ledger.end();
  });
});

describe("temporary files", () => {
  it("of a query in parallel: each process has the limit for itself, which for one alone is not enough", async () => {
    await server.as("gtown", "CREATE TABLE gt_wide AS SELECT md5(g::text) AS x FROM generate_series(1, 300000) g");
    await gatherer.user.query(
      `SET work_mem = '64kB'; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0`,
    );
    const sort = "SELECT count(*) FROM (SELECT x FROM gt_wide ORDER BY x OFFSET 0) t";
    await gatherer.user.query("SET max_parallel_workers_per_gather = 0");
    expect(await answer(gatherer.user, sort)).toBe("temporary file size exceeds temp_file_limit (8192kB)");
    await gatherer.user.query("SET max_parallel_workers_per_gather = 4");
    expect(await answer(gatherer.user, sort)).toBe("300000");
  });
});

describe("parallel workers", () => {
  it("open: one session takes all of the server's, which no connection limit counts; others' queries run without", async () => {
    // A row to a page: each worker gets some.
    const table = (name: string) =>
      `CREATE TABLE ${name} (id int, filler text STORAGE PLAIN) WITH (parallel_workers = 8);
       INSERT INTO ${name} SELECT id, repeat('x', 5000) FROM generate_series(1, 1000) id`;
    await server.as("gtown", table("gt_parallel"));
    await server.as("lgown", table("lg_parallel"));
    const ledger = await server.session("lgapp");
    const settings = `SET max_parallel_workers_per_gather = 1000; SET max_parallel_workers = 1000; SET parallel_setup_cost = 0;
      SET parallel_tuple_cost = 0`;
    for (const session of [gatherer.user, ledger]) await session.query(settings);
    const launched = async () => {
      const plan = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM lg_parallel WHERE id > 0";
      return /Workers Launched: (\d)/.exec(await answer(ledger, plan))?.[1];
    };
    expect(Number(await launched())).toBeGreaterThan(1);
    const asleep = answer(gatherer.user, "SELECT pg_sleep(60) FROM gt_parallel");
    const workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'";
    await expect.poll(() => answer(server.superuser, workers)).not.toBe("0");
    await expect.poll(launched).toBe("0");
    await server.superuser.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'gtuser'");
    await asleep;
    await ledger.end();
  });
});

describe("open: a list setting of nothing but quotation marks", () => {
  it("is ended by no signal while it is read; a superuser's RESET is done at once", async () => {
    const pid = Number(await answer(gatherer.user, "SELECT pg_backend_pid()"));
    const quotes = '"'.repeat(150_000);
    const running = answer(
      gatherer.user,
      `SET statement_timeout = '1s'; ALTER ROLE gtuser SET search_path = '${quotes}'`,
    );
    await sleep(2000);
    expect(await answer(server.superuser, `SELECT pg_terminate_backend(${pid}, 500)`)).toBe("false");
    expect(await running).toContain("terminating connection due to administrator command");
    expect(await answer(server.superuser, "ALTER ROLE gtuser RESET search_path")).toBe("done");
  });

  it("in a login keeps nobody else from being frozen, and is not outlived by it", async () => {
    await server.superuser.query(`ALTER ROLE gtuser SET search_path = '${'"'.repeat(100_000)}'`);
    let isUnderWay = true;
    const login = server.session("gtuser").finally(() => (isUnderWay = false));
    const ended = login.then((session) => answer(session, "SELECT 1")).catch(String);
    await sleep(1000);
    await server.superuser.query("ALTER ROLE lguser NOLOGIN");
    await endSessions(server.superuser, ["lguser"]);
    expect(isUnderWay).toBe(true);
    // In the middle of its login, or of its first statement.
    expect(await ended).not.toBe("1");
    await server.superuser.query("ALTER ROLE lguser LOGIN; ALTER ROLE gtuser RESET search_path");
  });
});

// The last of this file: the server restarts.
describe("open: strpos of a long text in a longer one", () => {
  it("is ended by no timeout and no signal but SIGKILL, keeps the plan from what it holds, and the server restarts", async () => {
    await gatherer.user.query("SET statement_timeout = '1s'; BEGIN; ALTER ROLE gtuser SET work_mem = '1MB'");
    const pid = Number(await answer(gatherer.user, "SELECT pg_backend_pid()"));
    const running = answer(gatherer.user, "SELECT strpos(repeat('a', 10000000), 'b' || repeat('a', 1000000))");
    await sleep(2000);
    expect(await answer(server.superuser, `SELECT pg_terminate_backend(${pid}, 500)`)).toBe("false");
    await expect(server.apply(plan)).rejects.toThrow("canceling statement due to lock timeout");
    await server.superuser.query("ROLLBACK");
    expect(await answer(server.superuser, `SELECT state FROM pg_stat_activity WHERE pid = ${pid}`)).toBe("active");
    process.kill(pid, "SIGKILL"); // docker exec pg16-primary kill -9; the process title names the role
    expect(await running).toBe("Connection terminated unexpectedly");
    await expect.poll(() => answer(gatherer.app, "SELECT 1")).not.toBe("1");
    await expect
      .poll(() => server.as("lgapp", "SELECT 1 AS one").catch(String), { timeout: 30_000 })
      .toEqual([{ one: 1 }]);
  });
});
