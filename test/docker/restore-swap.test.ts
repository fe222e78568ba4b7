import type { Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { restoreBeside } from "../../ops/restore/restore";
import { restoreInPlace, swapSchemas } from "../../ops/restore/in-place";
import type { Platform } from "../../ops/restore/platform";
import { steps, type Steps } from "../../ops/restore/steps";
import { swapDatabases } from "../../ops/restore/swap";
import { choose } from "../../ops/restore/wanted";
import { services } from "../../services/registry";
import { answer } from "../support/attackers";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { opsCopy } from "../support/ops-copy";
import { makeRows, platformOn, restorableCluster, type RestorableCluster } from "../support/restore";
import { run } from "../support/run";
import { waitFor } from "../support/wait";

// What takes another's place on a running stack: without a service, against who does not let go, killed on its way; what is kept then.
let cluster: TestCluster;
let agent: BackupAgent;
let as: RestorableCluster["as"];
let inDatabase: RestorableCluster["inDatabase"];
let serviceOf: RestorableCluster["serviceOf"];
let platform: Platform;
let said: string[];
let progress: Steps;
/** The database that is not the services' own at this moment: each test puts it in their place. */
let other = "appdb_restored_20261127t000001";

beforeAll(async () => {
  ({ cluster, agent, as, inDatabase, serviceOf } = await restorableCluster());
  await makeRows(as);
  expect(agent.run("now", "logical").output).toContain("is proven");
  await as("gtown", "DELETE FROM gt_rows WHERE id > 10");
  platform = platformOn(cluster);
});
beforeEach(() => {
  said = [];
  progress = steps(9, (line) => said.push(line));
});
afterAll(() => cluster.clean());

const rowsOf = (table: string, database = "appdb") =>
  Number(inDatabase(database, `SELECT count(*) FROM ${table.slice(0, 2)}.${table}`));

/** Puts the other database in the place of the services' own, which is the other one then. */
async function swap(progressing = progress): Promise<void> {
  const before = rowsOf("gt_rows");
  other = await swapDatabases(platform, other, progressing);
  expect([before, rowsOf("gt_rows")].sort()).toEqual([10, 100]);
  expect(rowsOf("gt_rows", other)).toBe(before);
}

describe("a database without one service", () => {
  it("takes the place of the whole: that service begins empty, with its rights; the undo brings back what it had", async () => {
    const wanted = choose(agent.list().backups, cluster.plan, { without: ["ag"] });
    await restoreBeside(platform, wanted, other, progress);
    await swap();
    expect(await as("gtapp", "SELECT count(*)::int AS n FROM gt_rows")).toEqual([{ n: 100 }]);
    expect(await as("scapp", "SELECT count(*)::int AS n FROM sc_rows")).toEqual([{ n: 7 }]);
    expect(inDatabase("appdb", "SELECT relname FROM pg_class WHERE relnamespace = 'ag'::regnamespace")).toBe("");
    await as("agown", "CREATE TABLE ag_new (id int)");
    await as("agapp", "INSERT INTO ag_new VALUES (1)");
    expect(await as("aguser", "SELECT id FROM ag_new")).toEqual([{ id: 1 }]);
    await expect(as("aguser", "BEGIN READ WRITE; INSERT INTO ag_new VALUES (2)")).rejects.toThrow("permission denied");
    await expect(as("scapp", "SELECT FROM ag.ag_new")).rejects.toThrow("permission denied");
    expect(said.join("\n")).toContain("every role may do what the plan says");
    await swap();
    expect(await as("agapp", "SELECT count(*)::int AS n FROM ag_rows")).toEqual([{ n: 5 }]);
    expect(rowsOf("ag_new", other)).toBe(1);
  });
});

/** Stops a session's process; it goes on when somebody has asked it to end, and a second more. */
function freeze(pid: number): void {
  const script = `until grep -q '^ShdPnd:.*[4-7c-f]...$' /proc/${pid}/status; do sleep 0.1; done; sleep 1; kill -CONT ${pid}`;
  expect(cluster.exec("primary", "bash", "-c", `kill -STOP ${pid}`).status).toBe(0);
  run("docker", ["exec", "--detach", cluster.names.primary.container, "bash", "-c", script]);
}

/** Programs of gt that write where they are, stay until they are ended, and log in again at once. */
function logInAgainAndAgain(loops: readonly number[]): { stop(): void } {
  const { container } = cluster.names.primary;
  const password = cluster.target("primary").passwords.get("gtapp") ?? "";
  const script = `for ((token = 1; ; token++)); do
      [ ! -e /tmp/enough ] || exit
      psql -qXh 127.0.0.1 -U gtapp -d appdb -c "INSERT INTO gt.gt_tokens VALUES ($1, $token)" -c "SELECT pg_sleep(3600)"
    done`;
  for (const loop of loops) {
    const env = ["--env", `PGPASSWORD=${password}`];
    run("docker", ["exec", "--detach", ...env, container, "bash", "-c", script, "bash", String(loop)]);
  }
  return {
    stop: () => {
      cluster.exec("primary", "touch", "/tmp/enough");
      cluster.ask("primary", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gtapp'");
    },
  };
}

describe("a swap", () => {
  it("goes through where sessions do not end at once and logins keep coming; nobody is left in what it was", async () => {
    const loops = [1, 2, 3];
    const tokens = (database: string, which: "min" | "max") =>
      loops.map((loop) =>
        Number(inDatabase(database, `SELECT coalesce(${which}(token), 0) FROM gt.gt_tokens WHERE loop = ${loop}`)),
      );
    const coming = logInAgainAndAgain(loops);
    try {
      await waitFor(() => tokens("appdb", "max").every((token) => token > 0));
      const slow = await Promise.all(["postgres", "gtown"].map((role) => cluster.login("primary", role)));
      for (const client of slow) {
        const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
        freeze(rows[0]?.pid ?? 0);
      }
      await swap();
      for (const client of slow) await expect(client.query("SELECT")).rejects.toThrow();
      expect(inDatabase("postgres", `SELECT usename FROM pg_stat_activity WHERE datname = '${other}'`)).toBe("");
      await waitFor(() => tokens("appdb", "max").every((token) => token > 0));
    } finally {
      coming.stop();
    }
    const [left, begun] = [tokens(other, "max"), tokens("appdb", "min")];
    expect(loops.filter((_, index) => (left[index] ?? NaN) >= (begun[index] ?? NaN))).toEqual([]);
  });

  it("is told to the standby also where a reader there keeps it from being replayed; nobody goes on in what it was", async () => {
    await as("gtown", "CREATE TABLE gt_big AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 1000)");
    await cluster.caughtUp("primary");
    const [honest, reader] = [await cluster.login("replica", "agapp"), await cluster.login("replica", "gtuser")];
    await honest.query("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0");
    await reader.query("SET statement_timeout = 0");
    // It does not take its answer; what it reads is emptied.
    const reading = answer(reader, "SELECT t FROM gt_big, generate_series(1, 1000)");
    (reader as unknown as { connection: { stream: Socket } }).connection.stream.pause();
    const waitsFor = () => cluster.ask("replica", "SELECT wait_event FROM pg_stat_activity WHERE usename = 'gtuser'");
    await waitFor(() => waitsFor() === "ClientWrite");
    await as("gtown", "TRUNCATE gt_big");
    await swap();
    expect(said.join("\n")).not.toContain("may go on reading what it was");
    expect(await answer(honest, "SELECT")).toMatch(/terminat|closed|not queryable/);
    const there = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('agapp', 'gtuser')";
    expect(cluster.ask("replica", there)).toBe("0");
    (reader as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
    await reading;
    await swap();
    await as("gtown", "DROP TABLE gt_big");
  });

  it("waits for who has changed the database's row and not committed yet", async () => {
    const held = "BEGIN; ALTER DATABASE appdb CONNECTION LIMIT -1; SELECT pg_sleep(5); ROLLBACK";
    const holding = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'postgres'";
    // Not before: the plan is applied first, and waits as long.
    const beginning = steps(9, (line) => {
      if (!line.includes("swap appdb and")) return;
      const psql = ["psql", "-U", "postgres", "-d", "postgres", "-c", held];
      run("docker", ["exec", "--detach", cluster.names.primary.container, ...psql]);
      while (inDatabase("postgres", holding) === "0");
    });
    const waiting = `SELECT query_start FROM pg_stat_activity WHERE application_name = 'centraldb-restore' AND wait_event_type = 'Lock'`;
    const attempts = new Set<string>();
    const swapped = swap(beginning);
    const seen = waitFor(() => {
      attempts.add(inDatabase("postgres", waiting)).delete("");
      return attempts.size > 1;
    });
    await Promise.race([seen, swapped]);
    expect(attempts.size).toBe(2);
    await swapped;
  });

  it("that was killed before the renames, when nobody is let in, goes on", async () => {
    const before = rowsOf("gt_rows");
    const closed = ["appdb", other].map((name) => `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    for (const statement of closed) inDatabase("postgres", statement);
    await expect(as("gtapp", "SELECT")).rejects.toThrow("is not currently accepting connections");
    other = await swapDatabases(platform, other, progress);
    expect(await as("gtapp", "SELECT count(*)::int AS n FROM gt_rows")).toEqual([{ n: before === 10 ? 100 : 10 }]);
    expect(rowsOf("gt_rows", other)).toBe(before);
  });

  it("that was killed behind the renames goes on with what was left to do", async () => {
    const reading = await cluster.login("replica", "gtuser");
    const name = other;
    const killed = steps(9, (line) => {
      said.push(line);
      if (line.includes(`appdb is ${name} now`)) throw new Error("killed");
    });
    const before = rowsOf("gt_rows");
    // As the plan had it when this one was kept.
    inDatabase(name, "GRANT USAGE ON SCHEMA sc TO gtapp");
    await expect(swapDatabases(platform, name, killed)).rejects.toThrow("killed");
    expect(cluster.ask("primary", "SELECT has_schema_privilege('gtapp', 'sc', 'USAGE')")).toBe("f");
    expect(rowsOf("gt_rows")).not.toBe(before);
    const kept = /what it was is (appdb_before_\w+)/.exec(said.join("\n"))?.[1] ?? "";
    // What the end of the swap would have brought in order.
    await cluster.caughtUp("primary");
    expect((await reading.query("SELECT current_database() AS name")).rows).toEqual([{ name: kept }]);
    cluster.ask("primary", "GRANT USAGE ON SCHEMA sc TO gtapp");
    const ops = opsCopy(cluster, services.slice(0, 3));
    try {
      // Nothing is ended any more, and nothing asked.
      const again = ops.start("restore", "swap", name);
      expect(await again.ended, again.output()).toBe(0);
      expect(again.output()).toContain(`appdb is ${name} now; what it was is ${kept}\n`);
    } finally {
      ops.clean();
    }
    other = kept;
    expect(rowsOf("gt_rows")).not.toBe(before);
    await expect(reading.query("SELECT")).rejects.toThrow();
    expect(cluster.ask("primary", "SELECT has_schema_privilege('gtapp', 'sc', 'USAGE')")).toBe("f");
    // What has given up its place since is no longer there under that name.
    await swap();
    await expect(swapDatabases(platform, name, progress)).rejects.toThrow(`${name} is no database that was restored`);
  });
});

const keptOf = (code: string) =>
  inDatabase("appdb", `SELECT nspname FROM pg_namespace WHERE nspname ~ '^${code}_' ORDER BY 1`)
    .split("\n")
    .filter(Boolean);

describe("what a restore in a service's place has kept", () => {
  it("is in no dump, nor what of a restore that failed could not be dropped", async () => {
    await restoreInPlace(
      platform,
      choose(agent.list().backups, cluster.plan, { service: "sc" }),
      serviceOf("sc"),
      progress,
    );
    const [kept = ""] = keptOf("sc");
    expect(kept).toMatch(/^sc_before_\d{8}t\d{6}$/);
    expect(inDatabase("appdb", `SELECT count(*) FROM ${kept}.sc_rows`)).toBe("7");
    const failed = "sc_failed_20261127t000000";
    inDatabase("appdb", `CREATE SCHEMA ${failed} CREATE TABLE sc_rows (id int)`);
    expect(agent.run("now", "logical").output).toContain("is proven");
    const newest = agent.list().backups.findLast(({ kind }) => kind === "logical");
    const { id, logical } = agent.manifest(newest?.id);
    const tables = Object.keys(logical?.tables ?? {});
    expect(tables).toEqual(expect.arrayContaining(["gt.gt_rows", "sc.sc_rows"]));
    expect(tables.filter((name) => /before|failed/.test(name))).toEqual([]);
    expect(logical?.dumps).toEqual([{ file: "appdb.dump", service: null }]);
    const list = agent.shell(`pg_restore --list /backups/backups/${id}/appdb.dump`);
    expect(list).toMatch(/ TABLE DATA sc sc_rows /);
    expect(list.split("\n").filter((line) => /before|failed/.test(line))).toEqual([]);
    inDatabase("appdb", `DROP SCHEMA ${failed} CASCADE`);
  });

  it("comes back also where an earlier attempt was killed before the renames", async () => {
    const [kept = ""] = keptOf("sc");
    await as("scown", "DROP TABLE sc_rows");
    for (const tier of ["own", "app", "user"]) cluster.ask("primary", `ALTER ROLE sc${tier} CONNECTION LIMIT 0`);
    await swapSchemas(platform, serviceOf("sc"), kept, progress);
    expect(await as("scapp", "SELECT count(*)::int AS n FROM sc_rows")).toEqual([{ n: 7 }]);
    expect(keptOf("sc")).not.toContain(kept);
  });

  it("is there already where it was killed behind them: the service is let in, and what it had can come back", async () => {
    const [kept = ""] = keptOf("sc");
    const since = "sc_before_20261127t235959";
    for (const tier of ["own", "app", "user"]) cluster.ask("primary", `ALTER ROLE sc${tier} CONNECTION LIMIT 0`);
    const aside = [`ALTER SCHEMA sc RENAME TO ${since}`, `ALTER SCHEMA ${since} OWNER TO postgres`];
    cluster.ask("primary", [...aside, `ALTER SCHEMA ${kept} RENAME TO sc`].join("; "));
    await expect(swapSchemas(platform, serviceOf("sc"), kept, progress)).rejects.toThrow(
      `${kept} is no schema of appdb; kept of sc are ${since}`,
    );
    await expect(as("scapp", "SELECT FROM sc_rows")).rejects.toThrow("does not exist");
    await swapSchemas(platform, serviceOf("sc"), since, progress);
    expect(await as("scapp", "SELECT count(*)::int AS n FROM sc_rows")).toEqual([{ n: 7 }]);
  });
});
