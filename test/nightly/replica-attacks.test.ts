import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endSessions } from "../../components/access/end-sessions";
import { endSessionsOfService } from "../../ops/end-sessions";
import { collectStatus } from "../../ops/status/collect";
import { services } from "../../services/registry";
import { tiers } from "../../services/service";
import { answer } from "../support/attackers";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { run } from "../support/run";

// What a taken-over gatherer does to the replica, where all three of its roles may log in and read.
const [gatherer, aggregator] = services;
if (gatherer?.code !== "gt" || aggregator?.code !== "ag") throw new Error("the registry begins with others");
let cluster: TestCluster;
let reader: Client;

beforeAll(async () => {
  cluster = await prepareCluster([gatherer, aggregator]);
  expect(await cluster.up()).toEqual({ status: 0, stdout: "", output: "" });
  await onPrimary("gtown", "CREATE TABLE gt_own (id int)");
  await onPrimary("agown", "CREATE TABLE ag_results AS SELECT generate_series(1, 1000) AS id");
});
afterAll(() => cluster.clean());
beforeEach(async () => {
  await cluster.caughtUp("primary");
  reader = await cluster.login("replica", "aguser");
});
afterEach(() => reader.end().catch(() => undefined)); // some are ended by the server

async function onPrimary(role: string, ...statements: readonly string[]): Promise<void> {
  const session = await cluster.login("primary", role);
  for (const sql of statements) await session.query(sql);
  await session.end();
}

const readOnReplica = async (): Promise<string> => {
  const session = await cluster.login("replica", "aguser");
  const said = await answer(session, "SELECT count(*) FROM ag_results");
  await session.end();
  return said;
};

describe("reads on the replica", () => {
  it("hold up what is replayed for all, 30 s; then they are ended, and everybody's whose rows a VACUUM on the primary removes", async () => {
    expect(cluster.ask("replica", "SHOW max_standby_streaming_delay")).toBe("30s");
    const session = await cluster.login("replica", "gtuser");
    await session.query("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0");
    await session.query("BEGIN; SELECT count(*) FROM gt_own");
    await reader.query("SET statement_timeout = 0");
    const reading = answer(reader, "SELECT count(*), pg_sleep(300) FROM ag_results");
    await onPrimary("gtown", "ALTER TABLE gt_own ADD COLUMN more int");
    await onPrimary("agown", "DELETE FROM ag_results WHERE id <= 500", "VACUUM ag_results");
    await cluster.caughtUp("primary");
    expect(cluster.logs("replica")).toMatch(
      /gtuser@appdb \S+ FATAL: {2}terminating connection due to conflict with recovery/,
    );
    expect(await reading).toBe("canceling statement due to conflict with recovery");
    expect(await answer(session, "SELECT 1")).not.toBe("1");
    expect(await readOnReplica()).toBe("500");
  });
});

describe("a reader that does not take its answer", () => {
  it("open: holds up what is replayed for as long as it likes, until end-sessions ends it; a freeze does so too", async () => {
    await onPrimary("gtown", "CREATE TABLE gt_big AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 1000)");
    const stuck = async () => {
      await cluster.caughtUp("primary");
      const session = await cluster.login("replica", "gtuser");
      await session.query("SET statement_timeout = 0; SET tcp_user_timeout = 0");
      const reading = answer(session, "SELECT t FROM gt_big, generate_series(1, 1000)");
      // As a client does that is stopped, or means harm.
      (session as unknown as { connection: { stream: Socket } }).connection.stream.pause();
      await waitFor(() => cluster.ask("replica", waiting) === "ClientWrite");
      await onPrimary(
        "gtown",
        "TRUNCATE gt_big",
        "INSERT INTO gt_big SELECT repeat('x', 1000) FROM generate_series(1, 1000)",
      );
      const written = cluster.ask("primary", "SELECT pg_current_wal_lsn()");
      return {
        replayed: () => cluster.ask("replica", `SELECT pg_last_wal_replay_lsn() >= '${written}'`) === "t",
        end: async () => {
          (session as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
          await reading;
        },
      };
    };
    const waiting = "SELECT wait_event FROM pg_stat_activity WHERE usename = 'gtuser'";

    const first = await stuck();
    await sleep(40_000); // max_standby_streaming_delay, and more
    expect(first.replayed()).toBe(false);
    const [, replica] = collectStatus({ name: "dev", settings: cluster.settings, dockerHost: undefined });
    expect(replica?.server?.replayWaitSeconds).toBeGreaterThan(30);
    const stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
    endSessionsOfService(gatherer, tiers, stack, () => undefined);
    await waitFor(first.replayed);
    await first.end();

    const second = await stuck();
    cluster.ask("primary", "ALTER ROLE gtuser NOLOGIN");
    const superuser = await cluster.login("replica", "postgres");
    expect(await endSessions(superuser, ["gtuser"])).toBe(1);
    expect(second.replayed()).toBe(true);
    await superuser.end();
    await second.end();
    cluster.ask("primary", "ALTER ROLE gtuser LOGIN");
  });
});

describe("a standby whose lock table is full", () => {
  it("open: stops where a table of the primary is locked exclusively, which ends all its sessions; it restarts and follows", async () => {
    const owner = await cluster.login("replica", "gtown");
    expect(await answer(owner, "SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 100000) g")).toBe(
      "out of shared memory",
    );
    await onPrimary("gtown", "TRUNCATE gt_own");
    await waitFor(async () => (await answer(reader, "SELECT 1")) !== "1");
    await waitFor(() => cluster.caughtUp("primary").then(() => true));
    expect(await readOnReplica()).toBe("500");
    expect(cluster.logs("replica")).toContain("shutting down due to startup process failure");
  });
});

describe("a transaction with more than 64 savepoints that write, left open", () => {
  it("open: keeps a standby that starts from letting anybody in, until end-sessions ends it on the primary", async () => {
    const app = await cluster.login("primary", "gtapp");
    await app.query("SET idle_in_transaction_session_timeout = 0; BEGIN");
    for (let n = 0; n <= 64; n++) await app.query(`SAVEPOINT s${n}; INSERT INTO gt_own VALUES (${n})`);
    cluster.ask("primary", "CHECKPOINT"); // the standby starts from what the primary notes here
    await cluster.caughtUp("primary");
    cluster.ask("replica", "CHECKPOINT");
    expect(run("docker", ["restart", cluster.names.replica.container]).status).toBe(0);
    const refused = "the database system is not yet accepting connections";
    await waitFor(() =>
      readOnReplica().then(
        () => false,
        (error: unknown) => String(error).includes(refused),
      ),
    );

    const stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
    endSessionsOfService(gatherer, tiers, stack, () => undefined);
    await waitFor(async () => (await readOnReplica()) === "500");
  });
});
