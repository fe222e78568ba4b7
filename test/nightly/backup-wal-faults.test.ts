import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { windowsOf } from "../../ops/backup/list";
import { services } from "../../services/registry";
import { backupAgent, holdDump, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { startInAnotherClock } from "../support/faketime";
import { run } from "../support/run";
import { buildOlderStandInImage, olderStandInImage, standInImage } from "../support/stand-in-image";
import { completeSegments, walMiB, writeWal } from "../support/wal";

// One stack whose agent is killed, cut off from its WAL, put into another time and given another primary. After each: what was
// good before is untouched, and the agent goes on by itself.
let cluster: TestCluster;
let agent: BackupAgent;

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 1), { withBackup: true });
  agent = backupAgent(cluster);
  // Small, so that a test writes more than what is kept within seconds.
  const small = { max_wal_size: "64MB", min_wal_size: "32MB", max_slot_wal_keep_size: "96MB" };
  expect(await cluster.up({ postgresqlSettings: small })).toMatchObject({ status: 0, output: "" });
  const owner = await cluster.login("primary", "gtown");
  await owner.query(
    "CREATE MATERIALIZED VIEW gt_held AS SELECT 1 AS one; CREATE TABLE gt_raw_data AS SELECT generate_series(1, 1000) AS id",
  );
  await owner.end();
  await agent.hasBegun();
});
afterAll(() => cluster.clean());

function docker(...args: string[]): string {
  const { status, stdout, output } = run("docker", args);
  if (status !== 0) throw new Error(output);
  return stdout.trim();
}

const bases = () => agent.list().backups.filter(({ kind }) => kind === "physical");
const slotStatus = () =>
  cluster.ask(
    "primary",
    `SELECT wal_status FROM pg_replication_slots WHERE slot_name = '${cluster.names.backup.slot}'`,
  );

/** Writes more WAL than a slot keeps, but never more than that ahead of the standby, which is to go on. */
async function writeMuch(): Promise<void> {
  for (let part = 0; part < 6; part++) {
    await writeWal(cluster, "primary", 50);
    await cluster.caughtUp("primary");
  }
}

describe("an agent that is killed in the middle of a dump", () => {
  it("removes what it has left when it is started again", async () => {
    const before = agent.list();
    const { ended, release } = await holdDump(
      cluster,
      agent,
      "gtown",
      "ALTER MATERIALIZED VIEW gt_held RENAME TO gt_other",
    );
    const partial = agent.shell("cd /backups/backups && ls -d *.partial");
    docker("kill", agent.container);
    expect(await ended).not.toMatchObject({ status: 0 });
    await release();
    docker("start", agent.container);
    await waitFor(() => agent.log().includes(`${partial} is removed: a run that was killed left it`));
    await agent.goesOnWith(before);
    expect(agent.run("now", "logical")).toMatchObject({ status: 0 });
  });
});

describe("a slot that has lost its WAL", () => {
  it("is followed by a new stretch with a base backup of its own, and no window goes over the gap", async () => {
    // What has come in and is not compressed yet is compressed after the gap.
    const last = cluster.ask("primary", "SELECT pg_walfile_name(pg_current_wal_lsn())");
    completeSegments(cluster, "primary", 1);
    await waitFor(() => (agent.list().wal.at(-1)?.last ?? "") >= last);
    const before = agent.list();
    docker("stop", agent.container);
    const stopped = new Date().toISOString();
    await writeMuch();
    expect(slotStatus()).toBe("lost");
    docker("start", agent.container);
    await waitFor(() => agent.log().includes("WAL is missing: a new stretch of the archive begins"));
    await waitFor(() => bases().length === 2, 120);
    await agent.goesOnWith(before);

    const list = agent.list();
    const finished = list.backups.flatMap(({ kind, finishedAt }) => (kind === "physical" ? [finishedAt] : []));
    expect(list.wal).toHaveLength(2);
    const [first, second] = windowsOf(list);
    expect(first?.from).toBe(finished[0]);
    expect(first && first.to > first.from && first.to < stopped, JSON.stringify({ first, stopped })).toBe(true);
    expect(second).toEqual({ from: finished[1], to: list.wal[1]?.receivedAt });
    expect(slotStatus()).toBe("reserved");
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });
});

describe("a receiver of WAL that is frozen", () => {
  it("stops no checkpoint, cannot fill the primary's disk, and is replaced within two minutes", async () => {
    const before = agent.list();
    agent.shell("kill -STOP $(grep -slx pg_receivewal /proc/[0-9]*/comm | cut -d / -f 3)");
    await writeMuch();
    expect(walMiB(cluster, "primary")).toBeLessThan(250);
    await agent.goesOnWith(before);
  });
});

describe("a clock that is wrong", () => {
  const day = 24 * 3600 * 1000;
  /** Days from now a backup says it was begun. */
  const daysAhead = ({ startedAt }: { readonly startedAt: string }) =>
    Math.round((new Date(startedAt).getTime() - Date.now()) / day);
  afterEach(() => {
    run("docker", ["rm", "--force", `${agent.container}-clock`]);
    run("docker", ["start", agent.container]);
  });

  it.each([40, 8, -40])(
    "by %i days: what is due then is made, whatever is dated later, and nothing old is deleted",
    async (days) => {
      // More of them than the last two, which are kept in any case.
      for (let made = 0; made < 2; made++) expect(agent.run("now", "logical")).toMatchObject({ status: 0 });
      const before = agent.list();
      docker("stop", agent.container);
      const wrong = backupAgent(cluster, startInAnotherClock(agent.container, `${days > 0 ? "+" : ""}${days}d`));
      const made = () => wrong.list().backups.filter((backup) => daysAhead(backup) === days);
      await waitFor(() => made().length === 2, 120);
      expect(made().map(({ kind }) => kind)).toEqual(["logical", "physical"]);
      // By another clock something is older than it is kept, and is not deleted.
      if (days === 40) await waitFor(() => wrong.log().includes("nothing old is deleted: this clock is "));
      await wrong.goesOnWith(before);
      docker("rm", "--force", wrong.container);
      docker("start", agent.container);
      await agent.goesOnWith(before);
      expect(agent.run("now", "logical")).toMatchObject({ status: 0 });
      await agent.goesOnWith(before);
      expect(agent.run("verify")).toMatchObject({ status: 0 });
    },
  );
});

describe("tools of another version than the server's", () => {
  it("make no backup", async () => {
    const before = agent.list();
    // Its server is of 16.13, its client programs of 16.14, as in an image that somebody has put together himself.
    buildOlderStandInImage();
    expect(await cluster.up({ image: olderStandInImage })).toMatchObject({ status: 0, output: "" });
    await waitFor(() => agent.isHealthy());
    for (const [kind, tool] of [
      ["logical", "pg_dump"],
      ["physical", "pg_basebackup"],
    ] as const) {
      const { status, stdout } = agent.run("now", kind);
      expect({ status, said: stdout.trim().split("\n").at(-1) }).toEqual({
        status: 1,
        said: `${kind} backup failed: ${tool} (PostgreSQL) 16.14 is not of the server's version, 16.13`,
      });
    }
    await agent.goesOnWith(before);
    expect(await cluster.up({ image: standInImage })).toMatchObject({ status: 0, output: "" });
    await waitFor(() => agent.isHealthy());
    expect(agent.run("now", "logical")).toMatchObject({ status: 0 });
    await agent.goesOnWith(before);
  });
});

describe("a promoted replica", () => {
  it("is the one whose WAL is received, in the same stretch, with a base backup of the new timeline", async () => {
    const before = agent.list();
    await cluster.caughtUp("primary");
    docker("stop", cluster.names.primary.container);
    expect(cluster.ask("replica", "SELECT pg_promote()")).toBe("t");
    const ofNewTimeline = () => bases().filter(({ server }) => server.timeline === 2);
    await waitFor(() => ofNewTimeline().length === 1, 180);
    await agent.goesOnWith(before, "replica");
    expect(ofNewTimeline().map(({ server }) => server.host)).toEqual([cluster.names.replica.container]);
    expect(cluster.ask("replica", "SELECT slot_name || ' ' || active FROM pg_replication_slots")).toBe(
      `${cluster.names.backup.slot} true`,
    );
    completeSegments(cluster, "replica", 1);
    await waitFor(() => agent.list().wal.at(-1)?.last?.startsWith("00000002") === true);
    const { wal } = agent.list();
    expect(wal).toHaveLength(before.wal.length);
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });
});
