import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NodeName } from "../../components/naming";
import { services } from "../../services/registry";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { knockAt } from "../support/knock";
import { fakePassword } from "../support/mocks";
import { pointInTime, type PointInTime } from "../support/point-in-time";
import { run } from "../support/run";
import { waitFor } from "../support/wait";
import { allReceived } from "../support/wal";
import type { Noted } from "../support/workload";

// A whole server brought back to where it was, by the commands an operator gives; each step on what the one before left.
let cluster: TestCluster;
let agent: BackupAgent;
let point: PointInTime;
beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  agent = backupAgent(cluster);
  point = pointInTime(cluster);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
  await agent.hasBegun();
  const owner = await cluster.login("primary", "gtown");
  await owner.query("CREATE TABLE gt_steps (step text)");
  await owner.end();
});
afterAll(() => {
  for (const node of ["primary", "replica"] as const) run("docker", ["rm", "-f", "-v", looking(node)]);
  cluster.clean();
});

const looking = (node: NodeName) => `${cluster.names[node].container}-restore`;

/** What a step leaves: where one can go back to. */
interface Step {
  readonly time: string;
  readonly lsn: string;
  readonly xid: string;
}

/** A transaction of its own, and moments that are no other's. */
async function step(name: string, primary: NodeName = "primary"): Promise<Step> {
  await sleep(20);
  const insert = `INSERT INTO gt.gt_steps VALUES ('${name}') RETURNING pg_current_xact_id()`;
  const xid = cluster.ask(primary, insert).split("\n")[0] ?? "";
  const [time = "", lsn = ""] = cluster.ask(primary, "SELECT now(), pg_current_wal_insert_lsn()").split("|");
  await sleep(20);
  return { time, lsn, xid };
}

const allSteps = "SELECT string_agg(step, ' ') FROM gt.gt_steps";
const steps = (node: NodeName = "primary") => cluster.ask(node, allSteps);
/** What a restore shows, before it is the primary. */
function shown(node: NodeName = "primary", query = allSteps): string {
  const { status, output } = run("docker", [
    ...["exec", looking(node), "psql", "-XAtU", "postgres", "-d", "appdb", "-c", query],
  ]);
  if (status !== 0) throw new Error(output);
  return output.trim();
}
/** What a login over the network gets there, from the other container. */
function asOnLook(user: string, password: string): string {
  const to = `host=${looking("primary")} dbname=appdb user=${user} password='${password}' sslmode=require`;
  return cluster.exec("replica", "psql", "-XAt", to, "-c", allSteps).output.trim();
}
const timeline = () => Number(cluster.ask("primary", "SELECT timeline_id FROM pg_control_checkpoint()"));
const folders = (node: NodeName = "primary") =>
  cluster.exec(node, "ls", "/var/lib/postgresql/data").stdout.trim().split("\n");

/** The agent has a base backup of the stretch that grows. */
async function hasNewBase(): Promise<void> {
  await waitFor(() => agent.list().wal.at(-1)?.bases.length !== 0 && agent.isHealthy(), 120).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${agent.log().split("\n").slice(-20).join("\n")}`);
  });
}

/**
 * All that pg_dumpall says of the server, but what is expected to differ after a restore: the words it makes up anew each time,
 * verifiers, which have a salt of their own, and since when a role has its password.
 */
function dumpAll(): readonly string[] {
  const { status, stdout, output } = cluster.exec("primary", "pg_dumpall", "-U", "postgres");
  if (status !== 0) throw new Error(output);
  const lines = stdout.split("\n").filter((line) => !/^\\(un)?restrict /.test(line));
  const begin = lines.findIndex((line) => line.startsWith("COPY platform.password "));
  expect(begin).toBeGreaterThan(0);
  const end = lines.indexOf("\\.", begin);
  const withoutAges = [...lines.slice(0, begin + 1), ...lines.slice(end)];
  return withoutAges.map((line) => line.replace(/ PASSWORD 'SCRAM-SHA-256\$[^']+'/, " PASSWORD"));
}

let dumpedAtOne: readonly string[];
let one: Step;
let two: Step;
let three: Step;

describe("a restore to a time", () => {
  it("is looked at beside the running servers, and thrown away without a trace", async () => {
    cluster.ask("primary", "ALTER ROLE gtapp PASSWORD 'another one at that time'");
    one = await step("one");
    dumpedAtOne = dumpAll();
    const { passwords } = cluster.target("primary");
    cluster.ask("primary", `ALTER ROLE gtapp PASSWORD '${passwords.get("gtapp") ?? ""}'`);
    two = await step("two");
    await allReceived(cluster);
    const knocking = knockAt(looking("primary"));
    const lines = await point.restore({ toTime: one.time }).finally(() => knocking.stop());
    expect(knocking.answered()).toBeGreaterThan(0);
    expect(lines.filter((line) => line.includes("-restore is at "))).toEqual([
      expect.stringMatching(
        /^\S+-primary-restore is at 20.*: its last transaction is of 20\S+Z, LSN \w+\/\w+; it is paused and can only be read$/,
      ),
    ]);
    expect([shown(), steps()]).toEqual(["one", "one two"]);
    // Roles have the passwords and rights of then: nobody of a service is let in, whichever password it has.
    expect(asOnLook("gtapp", "another one at that time")).toContain("no pg_hba.conf entry");
    expect(asOnLook("gtapp", passwords.get("gtapp") ?? "")).toContain("no pg_hba.conf entry");
    expect(asOnLook("app", fakePassword("app-password"))).toBe("one");
    // The same again says the same, also after the engine was restarted; another one is not begun beside it.
    run("docker", ["kill", looking("primary")]);
    expect((await point.restore({ toTime: one.time })).join()).toContain("-restore is at ");
    await expect(point.restore({ toLatest: true })).rejects.toThrow(
      /^a restore to 20.* is there: .*restore finish.* or /,
    );
    expect(point.discard()).toEqual([expect.stringContaining("is thrown away")]);
    expect(folders()).toEqual(["pgdata"]);
    expect(run("docker", ["inspect", looking("primary")]).status).not.toBe(0);
    expect(() => point.discard()).toThrow("stack test has no restore that could be thrown away");
    await expect(point.finish()).rejects.toThrow("stack test has no restore to finish");
  });

  it("that is in no window is refused, with the windows, and leaves nothing", async () => {
    for (const toTime of ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"]) {
      await expect(point.restore({ toTime })).rejects.toThrow(
        /^20\d\d-01-01 00:00:00\+00:00 cannot be reached; possible is any point from 20\S+Z \(LSN \S+\) to 20\S+Z \(LSN \S+ at most\); /,
      );
      expect(folders()).toEqual(["pgdata"]);
      expect(run("docker", ["inspect", looking("primary")]).status).not.toBe(0);
    }
  });

  it("becomes the primary, with the stack's passwords, and goes on where it was killed", async () => {
    await point.restore({ toTime: one.time });
    // Whoever looks could write when it is promoted.
    const ended = new Promise<string>((resolve) => {
      const query = ["psql", "-U", "app", "-d", "appdb", "-c", "SELECT pg_sleep(600)"];
      execFile("docker", ["exec", looking("primary"), ...query], (_, __, stderr) => resolve(stderr));
    });
    await waitFor(() => shown("primary", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") === "1");
    await expect(point.finish("promoted")).rejects.toThrow("killed");
    expect(await ended).toContain("terminating connection due to administrator command");
    run("docker", ["kill", looking("primary")]);
    const primary = cluster.names.primary.container;
    await expect(point.finish(`${cluster.names.replica.container} stopped`)).rejects.toThrow("killed");
    // Killed between the two renames.
    const [volume, image] = [cluster.names.primary.volume, cluster.settings.image];
    const kept = "cd /d && mv pgdata $(grep -o 'pgdata_before_[0-9TZ]*' restore.json)";
    run("docker", [
      "run",
      "--rm",
      "--user",
      "postgres",
      "--volume",
      `${volume}:/d`,
      "--entrypoint",
      "sh",
      image,
      "-c",
      kept,
    ]);
    run("docker", ["start", primary]);
    await waitFor(() => cluster.logs("primary").includes("refuses to start: its volume is empty"), 90);
    const lines = await point.finish();
    expect(lines.filter((line) => line.endsWith(" s")).map((line) => line.replace(/: [\d.]+ s$/, ""))).toEqual([
      `${primary} stopped`,
      `${cluster.names.replica.container} stopped`,
      "the data directory in its place",
      `${primary} accepts connections`,
      expect.stringMatching(/^nobody got in for [\d.]+ s$/),
      "stack test is what the plan says",
      `${cluster.names.replica.container} follows`,
    ]);
    expect(point.findings).toEqual([]);
    expect([steps(), timeline()]).toEqual(["one", 2]);
    expect(dumpAll()).toEqual(dumpedAtOne);
    await (await cluster.login("primary", "gtapp")).end();
    await cluster.caughtUp("primary");
    expect(steps("replica")).toBe("one");
    expect(folders()).toEqual(["pgdata", expect.stringMatching(/^pgdata_before_\d{8}T\d{6}Z$/)]);
    expect(run("docker", ["inspect", looking("primary")]).status).not.toBe(0);
    await hasNewBase();
    // Everything the program declares is as it was.
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
  });

  it("can be on the timeline that was left, and gives the new one a number of its own", async () => {
    three = await step("three");
    await allReceived(cluster);
    await point.restore({ toTime: two.time });
    expect([shown(), steps()]).toEqual(["one two", "one three"]);
    await expect(point.finish("promoted")).rejects.toThrow("killed");
    // No longer read-only, and with the passwords of then.
    expect(run("docker", ["port", looking("primary")]).output).toBe("");
    expect(steps()).toBe("one three");
    run("docker", ["kill", looking("primary")]);
    await point.finish();
    expect(point.findings).toEqual([]);
    expect([steps(), timeline()]).toEqual(["one two", 3]);
    await hasNewBase();
    await point.restore({ toTime: three.time });
    expect(shown()).toBe("one three");
    point.discard();
  });

  it("is undone: what was before is the primary again", async () => {
    const lines = await point.undo();
    expect(lines.at(-2)).toContain("restore undo");
    expect(point.findings).toEqual([]);
    expect([steps(), timeline()]).toEqual(["one three", 2]);
    await cluster.caughtUp("primary");
    await hasNewBase();
  });
});

describe("a restore to a position or a transaction", () => {
  it("ends behind it, from the base backup that fits", async () => {
    const four = await step("four");
    // A base backup of the standby begins at its last checkpoint, and would do for both.
    cluster.ask("primary", "CHECKPOINT");
    await cluster.caughtUp("primary");
    cluster.ask("replica", "CHECKPOINT");
    expect(agent.run("now", "physical").output).toContain("is proven");
    const five = await step("five");
    const six = await step("six");
    await allReceived(cluster);
    const newest = agent.list().backups.at(-1)?.id ?? "";
    for (const [target, found, base] of [
      [{ toLsn: five.lsn }, "one three four five", newest],
      [{ toXid: five.xid }, "one three four five", newest],
      [{ toXid: six.xid }, "one three four five six", newest],
      // The newest has it, and cannot leave it out.
      [{ toXid: four.xid }, "one three four", ""],
      [{ toLsn: four.lsn }, "one three four", ""],
    ] as const) {
      const lines = await point.restore(target);
      expect(shown(), lines.join("\n")).toBe(found);
      const from = lines.filter((line) => line.startsWith("to ")).at(-1) ?? "";
      expect(from.includes(` from ${newest} `), lines.join("\n")).toBe(base === newest);
      point.discard();
    }
    await expect(point.restore({ toXid: "4000000" })).rejects.toThrow(
      /^transaction 4000000 cannot be reached, its end is in no WAL to LSN \S+; possible is any point /,
    );
    await expect(point.restore({ toLsn: "7F/0" })).rejects.toThrow(/^LSN 7F\/0 cannot be reached; possible is /);
    expect(folders().filter((name) => name.includes("restore"))).toEqual([]);
  });
});

/** A client of a service that never stops, and what was acknowledged to it. */
interface Counter {
  readonly acknowledged: () => readonly Required<Pick<Noted, "at" | "token">>[];
  /** Tokens that are in the service's table. */
  readonly stored: () => Promise<ReadonlySet<number>>;
  readonly stop: () => void;
}

async function count(code: string, folder: string): Promise<Counter> {
  const owner = await cluster.login("primary", `${code}own`);
  await owner.query(`CREATE TABLE ${code}_tokens (token int)`);
  await owner.end();
  const { host, port, passwords } = cluster.target("primary");
  const url = `postgresql://${code}app:${passwords.get(`${code}app`) ?? ""}@${host}:${port}/appdb`;
  const file = join(folder, code);
  const script = join(__dirname, "..", "support", "workload.ts");
  const client = spawn(process.execPath, ["--import", "tsx", script, url, `${code}.${code}_tokens`, file]);
  const noted = () =>
    existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line.endsWith("}"))
          .map((line) => JSON.parse(line) as Noted)
      : [];
  return {
    acknowledged: () => noted().flatMap(({ at, token }) => (token === undefined ? [] : [{ at, token }])),
    stored: async () => {
      const reader = await cluster.login("primary", `${code}user`);
      const { rows } = await reader.query<{ token: number }>(`SELECT token FROM ${code}_tokens`);
      await reader.end();
      return new Set(rows.map(({ token }) => token));
    },
    stop: () => client.kill("SIGKILL"),
  };
}

describe("a primary whose data are destroyed while its clients write", () => {
  it("comes back with every token that was acknowledged before the last WAL came in", async () => {
    const folder = mkdtempSync(join(tmpdir(), "centraldb-tokens-"));
    const counters = await Promise.all(cluster.plan.services.map(({ code }) => count(code, folder)));
    try {
      for (const { acknowledged } of counters) await waitFor(() => acknowledged().length > 100);
      const { container, volume } = cluster.names.primary;
      run("docker", ["kill", container]);
      const killed = Date.now();
      const empty = ["--entrypoint", "sh", cluster.settings.image, "-c", "rm -rf /d/pgdata*"];
      expect(run("docker", ["run", "--rm", "--volume", `${volume}:/d`, ...empty]).output).toBe("");
      run("docker", ["start", container]);
      const lastReceived = Date.parse(agent.list().wal.at(-1)?.receivedAt ?? "");
      expect(killed - lastReceived).toBeLessThan(5000);

      await point.restore({ toLatest: true });
      const lines = await point.finish();
      expect(point.findings).toEqual([]);
      // Nothing else has what the standby had.
      expect(lines.at(-1)).toContain(`docker exec ${cluster.names.replica.container} rm -r `);
      for (const { acknowledged } of counters) {
        await waitFor(() => acknowledged().filter(({ at }) => at > killed).length > 20);
      }
      for (const { acknowledged, stored } of counters) {
        const all = acknowledged();
        const has = await stored();
        const lost = all.filter(({ token }) => !has.has(token));
        // A second for what was on its way. What was acknowledged after the kill was acknowledged by the server that is back.
        const times = JSON.stringify({ killed, lastReceived, stored: has.size, last: Math.max(...has) });
        expect(
          lost.filter(({ at }) => at < lastReceived - 1000 || at > killed),
          times,
        ).toEqual([]);
        expect(lost.length).toBeLessThan(100);
        // What is there has no hole.
        const first = Math.min(...lost.map(({ token }) => token));
        expect(all.filter(({ at, token }) => at < killed && token > first && has.has(token))).toEqual([]);
      }
      await cluster.caughtUp("primary");
    } finally {
      for (const { stop } of counters) stop();
      rmSync(folder, { recursive: true });
    }
    await hasNewBase();
  });
});

describe("a restore after a failover", () => {
  it("is of the node that is the primary now, before and after the promotion", async () => {
    const seven = await step("seven");
    await cluster.caughtUp("primary");
    await allReceived(cluster);
    run("docker", ["stop", cluster.names.primary.container]);
    expect(cluster.ask("replica", "SELECT pg_promote()")).toBe("t");
    expect(await cluster.up({ primaryNode: "replica" })).toMatchObject({ status: 0 });
    const eight = await step("eight", "replica");
    await step("nine", "replica");
    await waitFor(() => agent.isHealthy());
    await allReceived(cluster, "replica");
    await point.restore({ toTime: eight.time });
    expect(shown("replica")).toMatch(/ seven eight$/);
    point.discard();
    await point.restore({ toTime: seven.time });
    expect(shown("replica")).toMatch(/ seven$/);
    await point.finish();
    expect(point.findings).toEqual([]);
    expect(steps("replica")).toMatch(/ seven$/);
    // It was a primary: what only it has is kept.
    expect(folders("primary").join(" ")).toContain("pgdata_before_");
    await cluster.caughtUp("replica");
    expect(steps("primary")).toMatch(/ seven$/);
    await hasNewBase();
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
  });
});
