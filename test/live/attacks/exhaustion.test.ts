import { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// What a taken-over gatherer uses up, and whether the ledger, the role for dumps and the superuser still get in and work.
const plan = testPlan(
  services
    .filter(({ code }) => ["gt", "lg"].includes(code))
    .map((service) => (service.code === "gt" ? { ...service, tempFileLimitMiB: 4 } : service)),
);
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.superuser.query(`ALTER ROLE postgres PASSWORD '${superuserPassword}'`);
  await server.as("gtown", "CREATE TABLE gt_own (id int)");
  await server.as("lgown", "CREATE TABLE lg_balances (id int); INSERT INTO lg_balances SELECT generate_series(1, 100)");
});
afterAll(() => server.stop());
beforeEach(async () => {
  gatherer = await takeOver(server, "gt");
});
afterEach(() => gatherer.end());

const superuserPassword = "of this test only";

const logIn = async (user: string): Promise<string> => {
  const { host, port, database, passwords } = server;
  const password = user === "postgres" ? superuserPassword : passwords.get(user);
  const client = new Client({ host, port, database, user, password });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return "let in";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end();
  }
};
const superuserLogIn = (): Promise<string> => logIn("postgres");

describe("limited by a number", () => {
  it("connections: each role's own, also where twenty come at once; everybody else gets in", async () => {
    const rush = await Promise.allSettled(Array.from({ length: 20 }, () => server.session("gtapp")));
    const sessions = rush.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    while (sessions.length < 4) sessions.push(await server.session("gtapp")); // with the one of takeOver five
    expect(sessions.length).toBe(4);
    await gatherer.user.query("BEGIN");
    const idle = [await server.session("gtown"), await server.session("gtuser"), ...sessions];
    for (const session of idle) await session.query("BEGIN; SELECT 1");
    for (const role of ["gtown", "gtapp", "gtuser"])
      expect(await logIn(role)).toBe(`too many connections for role "${role}"`);
    for (const role of ["lgown", "lgapp", "lguser", "app", "postgres"]) expect(await logIn(role)).toBe("let in");
    await Promise.all(idle.map((session) => session.end()));
  });

  it.each([
    [
      "a sort",
      "SELECT count(*) FROM (SELECT g, repeat('x', 100) AS x FROM generate_series(1, 200000) g ORDER BY x, g OFFSET 0) s",
    ],
    [
      "a cursor that outlives its transaction",
      "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT g, repeat('x', 100) FROM generate_series(1, 200000) g; COMMIT",
    ],
    ["a function's rows", "SELECT count(*) FROM generate_series(1, 5000000)"],
  ])("temporary files: %s", async (_, sql) => {
    for (const session of [gatherer.owner, gatherer.app, gatherer.user]) {
      await session.query("SET work_mem = '64kB'");
      expect(await answer(session, sql)).toBe("temporary file size exceeds temp_file_limit (4096kB)");
      await session.query("ROLLBACK");
    }
    expect(await answer(server.superuser, `SET work_mem = '64kB'; ${sql}`)).toMatch(/^(200000|5000000|done)$/);
    await server.superuser.query("RESET work_mem; CLOSE ALL");
  });

  it("depth: a statement that nests too deep fails alone", async () => {
    const message = "stack depth limit exceeded";
    expect(await answer(gatherer.user, `SELECT ${"1 + ".repeat(100000)}1`)).toBe(message);
    expect(await answer(gatherer.user, `SELECT '${"[".repeat(1000000)}'::json`)).toBe(message);
    expect(await answer(gatherer.user, "SET max_stack_depth = '1GB'")).toBe(
      'permission denied to set parameter "max_stack_depth"',
    );
  });

  it("prepared transactions: there are none; a file for each exported snapshot: not for services", async () => {
    expect(await answer(gatherer.app, "BEGIN; PREPARE TRANSACTION 'x'")).toBe("prepared transactions are disabled");
    expect(await answer(gatherer.app, "SELECT count(pg_export_snapshot()) FROM generate_series(1, 100)")).toBe(
      "permission denied for function pg_export_snapshot",
    );
    expect(
      await answer(server.superuser, "BEGIN; SELECT count(pg_export_snapshot()) FROM generate_series(1, 10); ROLLBACK"),
    ).toBe("done");
  });
});

describe("open: one session fills the lock table, and nobody gets in, the superuser neither, until its process is ended", () => {
  it.each([
    ["an owner by advisory locks", "owner", ["SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 100000) g"]],
    [
      "an app by savepoints",
      "app",
      [
        "BEGIN",
        ...Array.from({ length: 40 }, (_, i) =>
          Array.from({ length: 1000 }, (_, j) => `SAVEPOINT s${i}_${j}; INSERT INTO gt_own VALUES (1)`).join(";"),
        ),
      ],
    ],
  ] as const)("%s", async (_, tier, statements) => {
    const session: Client = gatherer[tier];
    const [row] = (await session.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
    let last = "done";
    for (const sql of statements) if ((last = await answer(session, sql)) !== "done") break;
    expect(last).toBe("out of shared memory");
    expect(await logIn("lgapp")).toBe("out of shared memory");
    expect(await superuserLogIn()).toBe("out of shared memory");
    process.kill(row?.pid ?? NaN, "SIGTERM"); // docker exec pg16-primary kill; the process title names the role
    await expect.poll(superuserLogIn).toBe("let in");
    expect(await logIn("lgapp")).toBe("let in");
  });
});

describe("open: notifications belong to everybody, PostgreSQL has no right on channels", () => {
  it("a user hears what another service notifies, and notifies in its name", async () => {
    const ledger = await server.session("lgapp");
    const heard: string[] = [];
    for (const session of [ledger, gatherer.user]) {
      session.on("notification", ({ payload }) => heard.push(payload ?? ""));
      await session.query("LISTEN lg_payouts");
    }
    await ledger.query("NOTIFY lg_payouts, 'of the ledger'");
    await gatherer.user.query("NOTIFY lg_payouts, 'forged'");
    await ledger.query("SELECT 1");
    expect(heard.sort()).toEqual(["forged", "forged", "of the ledger", "of the ledger"]);
    await ledger.end();
  });

  it("a listener in an open transaction keeps them all: the queue of 8 GB only grows; it empties when the session ends", async () => {
    const usage = () => answer(server.superuser, "SELECT pg_notification_queue_usage() > 0");
    await gatherer.user.query("LISTEN c");
    await gatherer.user.query("BEGIN; SELECT 1");
    const payload = "x".repeat(7900);
    await gatherer.app.query(Array.from({ length: 100 }, (_, i) => `NOTIFY c, '${i}${payload}'`).join(";"));
    expect(await usage()).toBe("true");
    await gatherer.user.query("COMMIT");
    await gatherer.app.query("NOTIFY c"); // whoever notifies next tidies up
    await expect.poll(usage).toBe("false");
  });
});

describe("open: an owner's advisory locks, which its migration tools need", () => {
  it("stop the provider, which locks the number of a role before it changes it; no other tier has them", async () => {
    const lock = "SELECT pg_advisory_xact_lock(oid::bigint) FROM pg_roles WHERE rolname = 'lgown'";
    expect(await answer(gatherer.owner, lock.replace("xact_", ""))).toBe("");
    expect(await answer(server.superuser, `SET lock_timeout = '200ms'; ${lock}`)).toBe(
      "canceling statement due to lock timeout",
    );
    await gatherer.owner.query("SELECT pg_advisory_unlock_all()");
    expect(await answer(server.superuser, `${lock}; RESET lock_timeout`)).toBe("done");
    expect(await answer(gatherer.app, lock)).toBe("permission denied for function pg_advisory_xact_lock");
    expect(await answer(gatherer.user, lock)).toBe("permission denied for function pg_advisory_xact_lock");
  });
});
