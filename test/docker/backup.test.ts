import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../services/registry";
import { backupAgent, holdDump, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { run } from "../support/run";

// The agent in its container, with real tools on real servers.
let cluster: TestCluster;
let agent: BackupAgent;
beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  agent = backupAgent(cluster);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
});
afterAll(() => cluster.clean());

describe("a new stack", () => {
  it("has a proven logical and a physical backup by itself, and receives WAL", async () => {
    await agent.hasBegun();
    const { backups, broken } = agent.list();
    expect(broken).toEqual([]);
    expect(backups.map(({ kind, classes }) => ({ kind, classes }))).toEqual([
      { kind: "logical", classes: ["daily", "weekly", "monthly"] },
      { kind: "physical", classes: ["weekly", "monthly"] },
    ]);
  });
});

describe("a dump that one service keeps from being made", () => {
  it("has the others, and names that one; the next has all", async () => {
    const { container: primary } = cluster.names.primary;
    const psql = (sql: string) => run("docker", ["exec", primary, "psql", "-U", "postgres", "-d", "appdb", "-qc", sql]);
    const odd = `CREATE TABLE gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;" (id int, "b"";" text);
      INSERT INTO gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;" SELECT n, E'\\\\.\n\\\\N' FROM generate_series(1, 7) n;
      CREATE TABLE gt.gt_none (); CREATE TABLE gt.gt_two (id int); INSERT INTO gt.gt_two VALUES (1), (2)`;
    expect(psql(`SET ROLE gtown; ${odd}`)).toMatchObject({ status: 0 });
    expect(agent.run("now", "logical").output).toContain("is proven");
    const tables = agent.list().backups.at(-1)?.logical?.tables;
    expect(tables).toMatchObject({
      [`gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;"`]: { rows: 7 },
      "gt.gt_none": { rows: 0, hash: "0" },
      "gt.gt_two": { rows: 2 },
    });

    const held = spawn(
      "docker",
      [
        "exec",
        primary,
        "psql",
        "-U",
        "postgres",
        "-d",
        "appdb",
        "-qc",
        "BEGIN; SET ROLE gtown; LOCK TABLE gt.gt_two; SELECT pg_sleep(600)",
      ],
      { stdio: "ignore" },
    );
    try {
      await waitFor(
        () => cluster.ask("primary", "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") !== "0",
      );
      const { output } = agent.run("now", "logical");
      expect(output).toContain("each service by itself");
      expect(output).toContain("gt is left out");
      expect(output).toContain("is proven");
    } finally {
      psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()",
      );
      held.kill();
    }
    const without = agent.list().backups.at(-1);
    expect(without?.logical?.services).toEqual(
      cluster.plan.services.map(({ code }) => code).filter((code) => code !== "gt"),
    );
    expect(without?.logical?.leftOut.map(({ service }) => service)).toEqual(["gt"]);
    expect(without?.files.map(({ name }) => name)).not.toContain("appdb-gt.dump");
    expect(agent.run("verify").status).toBe(0);
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([]);
  });
});

describe("a dump whose table is another thing when its rows are counted", () => {
  it("runs no view of its owner as app, and leaves that service out", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE TABLE gt_a1 (id int); CREATE TABLE gt_a2 (id int)");
    const held = await holdDump(cluster, agent, "gtown", "gt_a1");
    const superuser = await cluster.login("primary", "postgres");
    await owner.query(
      `ALTER TABLE gt_a2 RENAME TO gt_a3;
       CREATE VIEW gt_a2 WITH (security_invoker = true) AS
         SELECT set_config('application_name', 'stolen ' || left(rolpassword, 30), false) AS s FROM pg_authid`,
    );
    await held.release();
    const seen = new Set<string>();
    for (let ended: unknown; ended === undefined; ended = await Promise.race([held.ended, sleep(2)])) {
      const names = "SELECT DISTINCT application_name AS name FROM pg_stat_activity WHERE usename = 'app'";
      for (const { name } of (await superuser.query<{ name: string }>(names)).rows) seen.add(name);
    }
    expect((await held.ended).output).toContain("is proven");
    expect([...seen].filter((name) => name.startsWith("stolen"))).toEqual([]);
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([
      { service: "gt", why: expect.stringContaining('"gt_a2"') as unknown },
    ]);
    await owner.query("DROP VIEW gt_a2");
    await owner.end();
    await superuser.end();
  });

  it("has a hash partitioned by an enum, whose rows pg_dump loads by way of the root", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query(
      `CREATE TYPE gt.colour AS ENUM ('red', 'green');
       CREATE TABLE gt_h (c gt.colour, v int) PARTITION BY HASH (c);
       CREATE TABLE gt_h0 PARTITION OF gt_h FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       INSERT INTO gt_h VALUES ('red', 1), ('green', 2)`,
    );
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    const logical = agent.list().backups.at(-1)?.logical;
    expect(logical?.leftOut).toEqual([]);
    expect(logical?.tables).toMatchObject({ "gt.gt_h0": { rows: 2 } });
  });
});
