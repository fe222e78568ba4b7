import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { pointInTime } from "../support/point-in-time";
import { restorableCluster, type RestorableCluster } from "../support/restore";
import { run } from "../support/run";
import { waitFor } from "../support/wait";
import { allReceived } from "../support/wal";

// What keeps everybody from a server that is restored to a point in time.
let cluster: TestCluster;
let agent: BackupAgent;
let as: RestorableCluster["as"];

beforeAll(async () => {
  ({ cluster, agent, as } = await restorableCluster());
  await as("gtown", "CREATE TABLE gt_tokens (token int)");
});
afterAll(() => {
  run("docker", ["rm", "-f", "-v", looking()]);
  cluster.clean();
});

/** The container in which a restore to a point in time is looked at. */
const looking = () => `${cluster.names.primary.container}-restore`;

describe("a restore to a moment at which somebody has what every login needs", () => {
  it("is there, not paused", async () => {
    const [owner, superuser] = [await cluster.login("primary", "gtown"), await cluster.login("primary", "postgres")];
    await owner.query("CREATE TABLE gt_list (id int) PARTITION BY LIST (id)");
    const attach = "ALTER TABLE gt_list ATTACH PARTITION pg_catalog.pg_authid FOR VALUES IN (1)";
    const stop = new AbortController();
    const asking = (async () => {
      // It is told no, and has had the lock.
      while (!stop.signal.aborted) await owner.query(attach).catch(() => undefined);
      await owner.query("DROP TABLE gt_list").finally(() => owner.end());
    })();
    const { rows } = await superuser.query<{ at: string }>("SELECT pg_sleep(1), clock_timestamp()::text AS at");
    await superuser.query("SELECT pg_sleep(1)").finally(() => superuser.end());
    stop.abort();
    await asking;
    await allReceived(cluster);
    const lines = await pointInTime(cluster).restore({ toTime: rows[0]?.at ?? "" });
    expect(lines).toContainEqual(
      expect.stringMatching(/-restore is at 20.*; it is not paused, as nobody could log in /),
    );
    pointInTime(cluster).discard();
  });
});

describe("a restore to a point in time while a transaction is open that began before the base backup", () => {
  /** With more savepoints than PostgreSQL keeps in memory, as one of a service's sessions may have. */
  let open: Client;
  let xid: string;
  let at: string;
  const shown = (query: string) =>
    run("docker", ["exec", looking(), "psql", "-XAtU", "postgres", "-d", "appdb", "-c", query]).output.trim();
  const point = () => pointInTime(cluster);

  beforeAll(async () => {
    open = await cluster.login("primary", "gtapp");
    await open.query("SET idle_in_transaction_session_timeout = 0; BEGIN");
    for (let number = 0; number < 70; number++)
      await open.query(`SAVEPOINT s${number}; INSERT INTO gt_tokens VALUES (-1)`);
    xid = (await open.query<{ xid: string }>("SELECT pg_current_xact_id()::text AS xid")).rows[0]?.xid ?? "";
    // The standby's next base backup begins here.
    cluster.ask("primary", "CHECKPOINT");
    await cluster.caughtUp("primary");
    expect(agent.run("now", "physical").output).toContain("is proven");
    await as("scown", "CREATE TABLE sc_late AS SELECT 1 AS id");
    at = cluster.ask("primary", "SELECT now()");
    await as("scown", "INSERT INTO sc_late VALUES (2)");
    await allReceived(cluster);
  });
  afterAll(() => open.end().catch(() => undefined));

  it("is there, not paused, and nobody reaches it over the network", async () => {
    const lines = await point().restore({ toTime: at });
    expect(lines).toContainEqual(
      expect.stringMatching(/-restore is at 20.*; it is not paused, as nobody could log in /),
    );
    expect(shown("SELECT count(*) FROM sc.sc_late")).toBe("1");
    expect(shown("SELECT count(*) FROM gt.gt_tokens WHERE token = -1")).toBe("0");
    const networks = run("docker", ["inspect", "--format", "{{json .NetworkSettings.Networks}}", looking()]);
    expect(networks.output.trim()).toBe("{}");
    // As the same command says again.
    expect((await point().restore({ toTime: at })).join()).toContain("it is not paused");
    point().discard();
  });

  it("has room for the locks that are replayed", async () => {
    // From an older base backup it is not open yet, and the target is looked for.
    const [older = ""] = agent.list().backups.flatMap(({ kind, id }) => (kind === "physical" ? [id] : []));
    const restoring = point().restore({ toXid: xid });
    await waitFor(() => run("docker", ["logs", looking()]).output.includes(`from ${older} `), 60);
    await waitFor(() => /^\d+$/.test(shown("SHOW max_locks_per_transaction")), 60);
    const locks = Number(shown("SHOW max_locks_per_transaction"));
    await expect(restoring).rejects.toThrow(`transaction ${xid} cannot be reached, its end is in no WAL`);
    expect(locks).toBe(4 * Number(cluster.ask("primary", "SHOW max_locks_per_transaction")));
  });

  it("to all that was received becomes the primary", async () => {
    const lines = await point().restore({ toLatest: true });
    expect(lines.join("\n")).toContain("it is not paused");
    expect(shown("SELECT count(*) FROM sc.sc_late")).toBe("2");
    const finishing = point();
    await finishing.finish();
    expect(finishing.findings).toEqual([]);
    expect(cluster.ask("primary", "SELECT count(*) FROM sc.sc_late")).toBe("2");
    expect(cluster.ask("primary", "SELECT count(*) FROM gt.gt_tokens WHERE token = -1")).toBe("0");
    expect(cluster.ask("primary", "SHOW max_locks_per_transaction")).toBe("64");
  });
});
