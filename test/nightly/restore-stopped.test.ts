import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { OperatorError } from "../../ops/operator-error";
import { restoreBeside } from "../../ops/restore/restore";
import { restoreInPlace, swapSchemas } from "../../ops/restore/in-place";
import type { Platform } from "../../ops/restore/platform";
import { steps, type Steps } from "../../ops/restore/steps";
import { choose, type Wanted } from "../../ops/restore/wanted";
import { collectStatus } from "../../ops/status/collect";
import { problemsOf } from "../../ops/status/problems";
import { services } from "../../services/registry";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { opsCopy, type OpsCopy, type RunningOps } from "../support/ops-copy";
import { pointInTime } from "../support/point-in-time";
import { makeRows, platformOn, restorableCluster, type RestorableCluster } from "../support/restore";
import { run } from "../support/run";
import { waitFor } from "../support/wait";

// Restores that are stopped, killed, kept waiting or have no room, on a running stack.
let cluster: TestCluster;
let agent: BackupAgent;
let as: RestorableCluster["as"];
let inDatabase: RestorableCluster["inDatabase"];
let serviceOf: RestorableCluster["serviceOf"];
let platform: Platform;
let ops: OpsCopy;
let said: string[];
let progress: Steps;
/** Ids of dumps: one that is restored at once; one in which ag waits where it is restored, until it is ended. */
const dumps = { ready: "", waiting: "" };

beforeAll(async () => {
  ({ cluster, agent, as, inDatabase, serviceOf } = await restorableCluster());
  await makeRows(as);
  dumps.ready = await dump();
  await as(
    "agown",
    `CREATE FUNCTION ag.waits() RETURNS bool LANGUAGE plpgsql AS $$
       BEGIN
         IF session_user <> current_user THEN PERFORM pg_sleep(3600); END IF;
         RETURN true;
       END $$;
     CREATE TABLE ag_slow (id int CHECK (ag.waits()));
     INSERT INTO ag_slow VALUES (1)`,
  );
  dumps.waiting = await dump();
  platform = platformOn(cluster);
  ops = opsCopy(cluster, services.slice(0, 3));
});
beforeEach(() => {
  said = [];
  progress = steps(9, (line) => said.push(line));
});
afterAll(() => {
  ops.clean();
  run("docker", ["rm", "-f", "-v", looking()]);
  cluster.clean();
});

/** The container in which a restore to a point in time is looked at. */
const looking = () => `${cluster.names.primary.container}-restore`;

/** Its id. */
async function dump(): Promise<string> {
  const { output } = await agent.start("now", "logical");
  expect(output).toContain("is proven");
  return agent.list().backups.findLast(({ kind }) => kind === "logical")?.id ?? "";
}

const databases = () =>
  inDatabase("postgres", "SELECT datname FROM pg_database WHERE datname ~ '^appdb_' ORDER BY 1")
    .split("\n")
    .filter(Boolean);

const chosen = (id: string, what: { readonly service?: string; readonly without?: readonly string[] } = {}): Wanted =>
  choose(agent.list().backups, cluster.plan, { id, ...what });

/** Resolves when ag is being restored: the login that does it. */
async function isRestoring(): Promise<string> {
  const sleeping = "SELECT usename FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename LIKE '%restore%'";
  let login = "";
  await waitFor(() => (login = inDatabase("postgres", sleeping)) !== "");
  return login;
}

/** A command that is restoring ag. */
async function begun(...args: readonly string[]): Promise<RunningOps> {
  const command = ops.start(...args);
  const tooEarly = command.ended.then(() => Promise.reject(new Error(command.output())));
  await Promise.race([isRestoring(), tooEarly]);
  return command;
}

/** Asserts that of a restore no database, login, session or process is there any more. */
async function nothingIsLeft(): Promise<void> {
  expect(databases()).toEqual([]);
  expect(inDatabase("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE '%restore%'")).toBe("");
  const sessions =
    "SELECT usename, application_name FROM pg_stat_activity WHERE usename LIKE '%restore%' OR application_name ~ 'restore'";
  expect(inDatabase("postgres", sessions)).toBe("");
  // Its session was ended; it ends of that.
  await waitFor(() => !run("docker", ["top", cluster.names.primary.container]).output.includes("pg_restore"));
}

describe("a restore that a person stops", () => {
  const logins: string[] = [];
  const stopped = () => {
    const stop = new AbortController();
    return { to: { ...platform, signal: stop.signal }, now: () => stop.abort(new OperatorError("stopped")) };
  };

  it("beside leaves no database, no login and no session", async () => {
    const { to, now } = stopped();
    const ended = expect(
      restoreBeside(to, chosen(dumps.waiting), "appdb_restored_20261127t000001", progress),
    ).rejects.toThrow(/^stopped$/);
    logins.push(await isRestoring());
    now();
    await ended;
    expect(said.join("\n")).toMatch(/gt in \d/);
    await nothingIsLeft();
  });

  it("beside leaves nothing either where it is restored already, and is being compared", async () => {
    const { to, now } = stopped();
    const stopping = steps(9, (line) => {
      if (line.includes("compare it")) now();
    });
    const wanted = chosen(dumps.ready, { service: "gt" });
    await expect(restoreBeside(to, wanted, "appdb_restored_20261127t000003", stopping)).rejects.toThrow(/^stopped$/);
    await nothingIsLeft();
  });

  it("in place lets the service in again, with what it had", async () => {
    await as("agown", "INSERT INTO ag_rows VALUES (6)");
    const { to, now } = stopped();
    const ended = expect(
      restoreInPlace(to, chosen(dumps.waiting, { service: "ag" }), serviceOf("ag"), progress),
    ).rejects.toThrow(/^stopped$/);
    logins.push(await isRestoring());
    await expect(cluster.login("primary", "agapp")).rejects.toThrow("too many connections");
    now();
    await ended;
    expect(said.join("\n")).toContain("put back what ag had");
    expect(await as("agapp", "SELECT count(*)::int AS n FROM ag_rows")).toEqual([{ n: 6 }]);
    expect(cluster.ask("primary", "SELECT nspname FROM pg_namespace WHERE nspname ~ '^ag_'")).toBe("");
    await nothingIsLeft();
  });

  it("has had a login of another name each time", () => {
    expect(logins).toEqual([
      expect.stringMatching(/^agown_restore_[0-9a-f]{8}$/),
      expect.stringMatching(/^agown_restore_[0-9a-f]{8}$/),
    ]);
    expect(new Set(logins).size).toBe(2);
  });

  it("by Ctrl-C at the keyboard undoes what is half done, and fails", async () => {
    for (const how of [[], ["--in-place", "--yes", "ag"]]) {
      const restore = await begun("restore", dumps.waiting, "--service", "ag", ...how);
      restore.interrupt();
      expect(await restore.ended, restore.output()).toBe(1);
      expect(restore.output()).toMatch(/is stopped: what is half done is undone\n[^]*\nstopped\n$/);
      await nothingIsLeft();
      expect(await as("agapp", "SELECT count(*)::int AS n FROM ag_rows")).toEqual([{ n: 6 }]);
    }
  });
});

const keptOf = (code: string) =>
  inDatabase("appdb", `SELECT nspname FROM pg_namespace WHERE nspname ~ '^${code}_(before|failed)_' ORDER BY 1`)
    .split("\n")
    .filter(Boolean);

const rowsOfAg = () => as("agapp", "SELECT count(*)::int AS n FROM ag_rows");

/** What status has to say of the primary's restores. */
const told = () => problemsOf(collectStatus(platform.stack), platform.stack).filter((line) => / ag/.test(line));

describe("a restore in place", () => {
  const inPlace = ["restore", "--service", "ag", "--in-place", "--yes", "ag"] as const;

  it("is one at a time: whoever comes meanwhile is refused, and told since when", async () => {
    const first = await begun(...inPlace, dumps.waiting);
    const others = [
      [...inPlace, dumps.ready],
      ["restore", dumps.ready, "--service", "sc"],
      ["restore", "swap", keptOf("ag")[0] ?? ""],
    ];
    for (const other of others) {
      const second = ops.start(...other);
      expect(await second.ended).toBe(1);
      expect(second.output()).toMatch(
        /^another restore of stack dev is under way, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: wait for it, or end it /,
      );
    }
    first.interrupt();
    expect(await first.ended, first.output()).toBe(1);
    expect(await rowsOfAg()).toEqual([{ n: 6 }]);
    expect(keptOf("ag")).toEqual([]);
    await nothingIsLeft();
  });

  it("gives back what the service had also where the server crashes meanwhile", async () => {
    const ended = expect(
      restoreInPlace(platform, chosen(dumps.waiting, { service: "ag" }), serviceOf("ag"), progress),
    ).rejects.toThrow();
    await isRestoring();
    const pid = inDatabase("postgres", "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    expect(cluster.exec("primary", "bash", "-c", `kill -KILL ${pid}`)).toMatchObject({ status: 0 });
    await ended;
    expect(said.join("\n")).toContain("put back what ag had");
    expect(await rowsOfAg()).toEqual([{ n: 6 }]);
    expect(keptOf("ag")).toEqual([]);
    await nothingIsLeft();
  });

  it("that was killed is named by status, and in no dump; the next gives the service first what it had", async () => {
    const restore = await begun(...inPlace, dumps.waiting);
    restore.kill();
    await restore.ended;
    await expect(cluster.login("primary", "agapp")).rejects.toThrow("too many connections");
    const [atFirst = ""] = keptOf("ag");
    const cure = `npm run ops -- restore swap ${atFirst} --stack dev`;
    expect(told()).toEqual([expect.stringMatching(new RegExp(`^what ag had is ${atFirst}, .*${cure} puts it back$`))]);
    const { logical } = agent.manifest(await dump());
    expect(logical?.services).toEqual(["gt", "sc"]);
    expect(logical?.leftOut).toEqual([
      {
        service: "ag",
        why: `it is being restored in its place, or was when that was killed; what it had is ${atFirst}`,
      },
    ]);

    await restoreInPlace(platform, chosen(dumps.ready, { service: "ag" }), serviceOf("ag"), progress);
    expect(said.join("\n")).toContain("put back what ag had");
    expect(await rowsOfAg()).toEqual([{ n: 5 }]);
    await nothingIsLeft();
    // One, of which is said how it comes back: what the service had at first.
    const [kept = "", ...others] = keptOf("ag");
    expect(others).toEqual([]);
    expect(told()).toEqual([]);
    await swapSchemas(platform, serviceOf("ag"), kept, progress);
    expect(await rowsOfAg()).toEqual([{ n: 6 }]);
  });

  it("that was killed is undone by a swap, and of what was restored nothing is kept", async () => {
    const before = keptOf("ag");
    const restore = await begun(...inPlace, dumps.waiting);
    restore.kill();
    await restore.ended;
    const [atFirst = ""] = keptOf("ag").filter((schema) => !before.includes(schema));
    const swap = ops.start("restore", "swap", atFirst, "--yes", "ag");
    expect(await swap.ended, swap.output()).toBe(0);
    expect(await rowsOfAg()).toEqual([{ n: 6 }]);
    expect(keptOf("ag")).toEqual(before);
    expect(told()).toEqual([]);
    await nothingIsLeft();
  });
});

describe("a restore for which the disk has no room", () => {
  it("beside is refused before anything is made", async () => {
    const oid = cluster.ask("primary", "SELECT oid FROM pg_database WHERE datname = 'appdb'");
    // It counts as the database's, and takes no room.
    const file = `/var/lib/postgresql/data/pgdata/base/${oid}/room`;
    cluster.exec("primary", "truncate", "--size=2T", file);
    try {
      await expect(
        restoreBeside(platform, chosen(dumps.ready), "appdb_restored_20261127t000002", progress),
      ).rejects.toThrow(/-primary has \S+ GB free, and appdb beside itself may take 2048 GB: make room first$/);
    } finally {
      cluster.exec("primary", "rm", file);
    }
    expect(said).toContainEqual(expect.stringMatching(/ prepare the database /));
    await nothingIsLeft();
  });

  it("to a point in time is refused before anything is unpacked", async () => {
    const [base] = agent.list().backups.filter(({ kind }) => kind === "physical");
    const manifest = `/backups/backups/${base?.id ?? ""}/backup_manifest`;
    // A file of an exabyte, in as many characters: of two sizes the last counts.
    const date = /"Last-Modified": "[^"]*"/.exec(agent.shell(`cat ${manifest}`))?.[0] ?? "";
    const size = '"Size": 1152921504606846976'.padEnd(date.length);
    expect(size).toHaveLength(date.length);
    agent.shell(`cp -p ${manifest} /tmp/manifest; sed -i '0,/${date}/s//${size}/' ${manifest}`);
    try {
      await expect(pointInTime(cluster).restore({ toLatest: true })).rejects.toThrow(
        /MiB are free where the node's data are, and \d+ MiB may be needed .*: make room, then again/,
      );
    } finally {
      agent.shell(`cat /tmp/manifest > ${manifest}`);
    }
    const { stdout } = cluster.exec("primary", "ls", "/var/lib/postgresql/data");
    expect(stdout.trim().split("\n")).toEqual(["pgdata"]);
    expect(run("docker", ["inspect", looking()]).status).not.toBe(0);
  });
});
