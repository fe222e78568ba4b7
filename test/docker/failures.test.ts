import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import type { NodeName } from "../../components/naming";
import { services } from "../../services/registry";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { walMiB, writeWal } from "../support/wal";

// One cluster that is broken in many ways, each step on what the one before left.
const registry = services.slice(0, 1);
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await prepareCluster(registry);
  // Small, so that a test writes more than what is kept within seconds.
  const small = { max_wal_size: "64MB", min_wal_size: "32MB", max_slot_wal_keep_size: "96MB", jit: "off" };
  expect(await cluster.up({ postgresqlSettings: small })).toMatchObject({ status: 0, output: "" });
  const owner = await cluster.login("primary", "gtown");
  await owner.query("CREATE TABLE gt_raw_data (id bigint PRIMARY KEY); CREATE TABLE gt_bulk (filler text)");
  await owner.end();
});
afterAll(() => cluster.clean());

const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" }).trim();
const container = (node: NodeName) => cluster.names[node].container;
const streams = () => cluster.ask("primary", "SELECT state FROM pg_stat_replication") === "streaming";
const slot = () => cluster.ask("primary", "SELECT wal_status FROM pg_replication_slots");

describe("a primary whose postmaster is killed", () => {
  it("comes back by itself with every row it acknowledged, and the replica follows", async () => {
    const acknowledged: number[] = [];
    const writing = new AbortController();
    const writer = (async () => {
      let client: Client | undefined;
      for (let id = 1; !writing.signal.aborted; id++) {
        try {
          client ??= await cluster.login("primary", "gtapp");
          await client.query("INSERT INTO gt_raw_data VALUES ($1)", [id]);
          acknowledged.push(id);
        } catch {
          client = undefined; // whether that row is there nobody was told
          await sleep(50);
        }
      }
      await client?.end();
    })();
    await waitFor(() => acknowledged.length > 200);
    const before = acknowledged.length;
    process.kill(Number(docker("inspect", "-f", "{{.State.Pid}}", container("primary"))), "SIGKILL");
    await waitFor(() => acknowledged.length > before + 200);
    writing.abort();
    await writer;

    const rows = cluster.ask("primary", "SELECT string_agg(id::text, ',') FROM gt.gt_raw_data").split(",").map(Number);
    const found = new Set(rows);
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
    expect(cluster.logs("primary")).toContain(
      "database system was not properly shut down; automatic recovery in progress",
    );
    await cluster.caughtUp("primary");
    expect(cluster.ask("replica", "SELECT count(*) FROM gt.gt_raw_data")).toBe(String(rows.length));
  });
});

describe("a replica", () => {
  it("that is restarted resumes where it was", async () => {
    docker("restart", container("replica"));
    await waitFor(() => streams());
    expect(cluster.logs("replica").match(/copying/g)).toHaveLength(1);
  });

  it("that is dead cannot fill the primary's disk, and with an empty volume copies its primary again", async () => {
    docker("stop", container("replica"));
    await writeWal(cluster, "primary", 400);
    expect(slot()).toBe("lost");
    expect(walMiB(cluster, "primary")).toBeLessThan(300);

    emptyVolume("replica");
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
    await cluster.caughtUp("primary");
    expect(slot()).toBe("reserved");
  });

  it("that is frozen stops neither checkpoints nor the primary's clean shutdown", async () => {
    docker("pause", container("replica"));
    await writeWal(cluster, "primary", 400);
    expect(slot()).toBe("lost");
    expect(walMiB(cluster, "primary")).toBeLessThan(300);
    docker("stop", container("primary"));
    expect(docker("inspect", "-f", "{{.State.ExitCode}}", container("primary"))).toBe("0");
    docker("start", container("primary"));
    docker("unpause", container("replica"));
  });
});

describe("a standby whose slot somebody dropped", () => {
  it("makes it again when it is started", async () => {
    emptyVolume("replica");
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
    await cluster.caughtUp("primary");
    docker("stop", container("replica"));
    cluster.ask("primary", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
    docker("start", container("replica"));
    await waitFor(() => streams());
    expect(slot()).toBe("reserved");
  });
});

describe("a replica that was promoted", () => {
  it("is managed as the primary when the config says so, and no container is replaced", async () => {
    docker("stop", container("primary"));
    expect(cluster.ask("replica", "SELECT pg_promote()")).toBe("t");
    await waitFor(() => cluster.ask("replica", "SELECT pg_is_in_recovery()") === "f");
    const ids = () => docker("inspect", "-f", "{{.Id}}", container("primary"), container("replica"));
    const before = ids();
    expect(await cluster.up({ primaryNode: "replica" })).toMatchObject({ status: 0, output: "" });
    expect(ids()).toBe(before);
    const app = await cluster.login("replica", "gtapp");
    await app.query("INSERT INTO gt_raw_data VALUES (-1)");
    await app.end();
    const superuser = await cluster.login("replica", "postgres");
    const { violations } = await testEffect(cluster.plan, cluster.target("replica"), superuser);
    await superuser.end();
    expect(violations.map(describeViolation)).toEqual([]);
  });

  const refused = () =>
    cluster
      .logs("primary")
      .split("\n")
      .filter((line) => line.includes("refuses to start")).length;
  const serves = (node: NodeName) => cluster.exec(node, "pg_isready", "--quiet").status === 0;

  it("is not joined by the old primary, which refuses to serve", async () => {
    docker("start", container("primary"));
    await waitFor(() => refused() > 0);
    expect(cluster.logs("primary")).toContain(
      `refuses to start: ${container("replica")} is the primary, on timeline 2`,
    );
    expect(serves("primary")).toBe(false);
  });

  it("is the one that serves when both are started at the same moment, as after a reboot", async () => {
    for (let round = 1; round <= 3; round++) {
      docker("kill", container("replica"), container("primary"));
      const before = refused();
      docker("start", container("primary"), container("replica"));
      await waitFor(() => serves("replica") && refused() > before);
      expect(serves("primary")).toBe(false);
      expect(cluster.ask("replica", "SELECT count(*) FROM gt.gt_raw_data WHERE id = -1")).toBe("1");
    }
  });

  it("is noticed by an old primary that was started alone and never heard of it, which stops itself", async () => {
    docker("stop", container("replica"), container("primary"));
    const data = `${cluster.names.primary.volume}:/data`;
    docker("run", "--rm", "--entrypoint", "rm", "--volume", data, cluster.settings.image, "/data/superseded");
    docker("start", container("primary"));
    await waitFor(() => serves("primary"));
    docker("start", container("replica"));
    await waitFor(() => serves("replica") && !serves("primary") && refused() > 0);
    expect(cluster.ask("replica", "SELECT pg_is_in_recovery()")).toBe("f");
  });

  it("has the old primary as its replica when that one's volume was emptied", async () => {
    emptyVolume("primary");
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
    await cluster.caughtUp("replica");
    expect(cluster.ask("primary", "SELECT pg_is_in_recovery()")).toBe("t");
    expect(cluster.ask("primary", "SELECT count(*) FROM gt.gt_raw_data WHERE id = -1")).toBe("1");
    expect(cluster.ask("replica", "SELECT slot_name FROM pg_replication_slots")).toBe(cluster.names.primary.slot);
  });
});

describe("an empty volume", () => {
  it("is refused by the primary, by the seed job too, while the standby has the data", async () => {
    emptyVolume("replica");
    const { status, output } = await cluster.up();
    expect(status).toBe(1);
    expect(output).toContain(
      `${container("replica")} does not start; the end of its log (docker logs ${container("replica")}):`,
    );
    expect(output).toContain(`its volume is empty and ${container("primary")} is a standby itself`);

    // A state that was lost asks for a seed once more.
    cluster.forget("cluster-seed");
    const seeded = await cluster.up();
    expect(seeded.status).toBe(1);
    expect(seeded.output).toContain("seed: the primary's volume is empty, the other node's is not");
  });

  it("is one only when it is: files without a data directory are not touched", async () => {
    docker("stop", container("replica"));
    const data = `${cluster.names.replica.volume}:/data`;
    const touch = [
      "--entrypoint",
      "sh",
      cluster.settings.image,
      "-c",
      "mkdir -p /data/pgdata/base && echo mine > /data/pgdata/base/1",
    ];
    docker("run", "--rm", "--volume", data, ...touch);
    expect(cluster.ask("primary", "SELECT pg_promote()")).toBe("t");
    docker("start", container("replica"));
    await waitFor(() => cluster.logs("replica").includes("has files but no PG_VERSION: move them away"));
    const kept = ["--entrypoint", "cat", cluster.settings.image, "/data/pgdata/base/1"];
    expect(docker("run", "--rm", "--volume", data, ...kept)).toBe("mine");
  });
});

/** The container and the data of a node are gone; the next `up` makes both volumes and container anew. */
function emptyVolume(node: NodeName): void {
  docker("rm", "--force", container(node));
  docker("volume", "rm", cluster.names[node].volume);
  cluster.forget(`cluster-${node}-data`, `${node}-container`);
}
