import { setTimeout as sleep } from "node:timers/promises";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metricsPort } from "../../agent/serve";
import { services } from "../../services/registry";
import { backupAgent, holdDump, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
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

  it("tells Prometheus of them, on the private network", () => {
    const request = `exec 3<>/dev/tcp/${agent.container}/${metricsPort}; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`;
    const { status, stdout } = cluster.exec("replica", "bash", "-c", request);
    expect(status).toBe(0);
    const value = (series: string) =>
      Number(
        stdout
          .split("\n")
          .find((line) => line.startsWith(`centraldb_backup_${series} `))
          ?.split(" ")
          .at(-1),
      );
    const { backups, freeBytes } = agent.list();
    for (const { kind, classes, startedAt, files, seconds } of backups) {
      for (const one of classes) {
        const of = `{kind="${kind}",class="${one}"}`;
        expect(value(`last_success_timestamp_seconds${of}`)).toBe(Date.parse(startedAt) / 1000);
        expect(value(`last_success_bytes${of}`)).toBe(files.reduce((sum, { bytes }) => sum + bytes, 0));
        expect(value(`last_success_duration_seconds{kind="${kind}",class="${one}",phase="proof"}`)).toBe(seconds.proof);
        expect(value(`proven${of}`)).toBe(1);
      }
      expect(value(`failing{kind="${kind}"}`)).toBe(0);
    }
    expect(value('service_last_success_timestamp_seconds{service="gt"}')).toBe(
      Date.parse(backups[0]?.startedAt ?? "") / 1000,
    );
    expect(Math.abs(value("free_bytes") / freeBytes - 1)).toBeLessThan(0.1);
    expect(value("wal_receiving")).toBe(1);
    const received = cluster.ask("primary", "SELECT pg_current_wal_lsn() - '0/0'");
    expect(Math.abs(value("wal_received_bytes") - Number(received))).toBeLessThan(16 * 1024 ** 2);
  });
});

describe("a base backup", () => {
  it("is taken from the standby, no faster than the stack allows, and from the primary where there is none", async () => {
    const rateMiB = 8;
    expect(await cluster.up({ backupRateMiB: rateMiB })).toMatchObject({ status: 0 });
    expect(agent.run("now", "physical").output).toContain("is proven");
    const mib = Number(cluster.ask("replica", "SELECT sum(pg_database_size(oid)) / 1024 ^ 2 FROM pg_database"));
    const [slow] = agent.list().backups.slice(-1);
    expect(slow?.server.host).toBe(cluster.names.replica.container);
    expect(slow?.seconds.tools).toBeGreaterThan((mib / rateMiB) * 0.9);
    expect(await cluster.up({ backupRateMiB: 0 })).toMatchObject({ status: 0 });

    expect(run("docker", ["stop", cluster.names.replica.container])).toMatchObject({ status: 0 });
    expect(agent.run("now", "physical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.server.host).toBe(cluster.names.primary.container);
    expect(run("docker", ["start", cluster.names.replica.container])).toMatchObject({ status: 0 });
    await cluster.caughtUp("primary");
  });
});

describe("a dump that one service keeps from being made", () => {
  it("has every row of every table, whatever it is called", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query(
      `CREATE TABLE gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;" (id int, "b"";" text);
       INSERT INTO gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;" SELECT n, E'\\\\.\n\\\\N' FROM generate_series(1, 7) n;
       CREATE TABLE gt.gt_none (); CREATE TABLE gt.gt_two (id int); INSERT INTO gt.gt_two VALUES (1), (2);
       CREATE TABLE gt."gt_No space left on device" (); CREATE MATERIALIZED VIEW gt_held AS SELECT 1 AS one`,
    );
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.manifest().logical?.tables).toMatchObject({
      [`gt."gt_ odd; 'name'\nCOPY gt.gt_fake (a) FROM stdin;"`]: { rows: 7 },
      "gt.gt_none": { rows: 0 },
      "gt.gt_two": { rows: 2 },
    });
  });

  // pg_dump itself gives up at a locked table only.
  it("by a table or a materialized view that is locked: it has the others, and names those; the next has all", async () => {
    const owner = await cluster.login("primary", "agown");
    await owner.query("CREATE MATERIALIZED VIEW ag_seen AS SELECT 1 AS one");
    await owner.query(
      "SET idle_in_transaction_session_timeout = 0; BEGIN; ALTER MATERIALIZED VIEW ag_seen RENAME TO ag_other",
    );
    const { ended, release } = await holdDump(cluster, agent, "gtown", 'LOCK TABLE "gt_No space left on device"');
    const { output } = await ended;
    await release();
    await owner.end();
    expect(output).toContain("each service by itself");
    expect(output).toContain("gt is left out");
    expect(output).toContain("is proven");
    const without = agent.list().backups.at(-1);
    const left = [
      { service: "gt", why: expect.stringContaining("canceling statement due to lock timeout") as unknown },
      { service: "ag", why: "pg_dump has waited 30 s for a lock of agown" },
    ];
    expect(without?.logical?.leftOut).toEqual(left);
    const others = cluster.plan.services.map(({ code }) => code).filter((code) => code !== "gt" && code !== "ag");
    expect(without?.logical?.services).toEqual(others);
    expect(without?.files.map(({ name }) => name)).not.toContain("appdb-gt.dump");
    expect(agent.run("verify").status).toBe(0);
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([]);
  });
});

describe("a dump beside which a service alters what it has", () => {
  const last = () => agent.manifest(agent.list().backups.at(-1)?.id).logical;
  const rowsInDump = () => last()?.tables["sc.sc_rows"];
  const owned = async (statements: string) => {
    const owner = await cluster.login("primary", "scown");
    await owner.query(statements);
    await owner.end();
  };
  beforeAll(() =>
    owned(
      `CREATE TABLE sc_rows AS SELECT generate_series(1, 5000) AS id; CREATE TABLE sc_held (); CREATE MATERIALIZED VIEW sc_seen AS SELECT 1 AS one;
       CREATE TYPE sc.colour AS ENUM ('red', 'green'); CREATE TABLE sc_hues (hue sc.colour); INSERT INTO sc_hues VALUES ('red');
       CREATE FUNCTION sc.one() RETURNS int LANGUAGE sql RETURN 1; CREATE VIEW sc_view AS SELECT sc.one() AS one`,
    ),
  );

  // A snapshot of before would see no rows in what is written anew, and nothing in a column that is made anew.
  it.each([
    ["a table", "BEGIN; TRUNCATE sc_rows; INSERT INTO sc_rows SELECT generate_series(1, 6000); COMMIT"],
    [
      "a column",
      "BEGIN; ALTER TABLE sc_rows ADD other int; UPDATE sc_rows SET other = id; ALTER TABLE sc_rows DROP id; ALTER TABLE sc_rows RENAME other TO id; COMMIT",
    ],
  ])("has what is in %s that is made anew before it is locked", async (_what, statements) => {
    const { ended, release } = await holdDump(cluster, agent, "scown", "LOCK TABLE sc_held");
    await owned(statements);
    await release();
    const { output } = await ended;
    expect(output).not.toContain("again");
    expect(output).toContain("is proven");
    expect(rowsInDump()).toMatchObject({ rows: 6000 });
    const dump = `/backups/backups/${agent.list().backups.at(-1)?.id ?? ""}/appdb.dump`;
    const rows = agent.shell(`pg_restore --data-only --table=sc_rows --file=- ${dump} | grep -cE '^[0-9]+$'`);
    expect(rows.trim()).toBe("6000");
    expect(last()?.leftOut).toEqual([]);
  });

  it.each([
    ["types", "ALTER TYPE sc.colour RENAME VALUE 'red' TO 'crimson'", /CREATE TYPE sc\.colour AS ENUM \(\s+'crimson',/],
    ["functions", "ALTER FUNCTION sc.one() RENAME TO first", /CREATE FUNCTION sc\.first\(\)/],
    ["views", "ALTER VIEW sc_view RENAME TO sc_first", /CREATE VIEW sc\.sc_first/],
  ])("is made again where that changes its %s, by which others are defined", async (kind, statement, inDump) => {
    const { ended, release } = await holdDump(
      cluster,
      agent,
      "scown",
      "ALTER MATERIALIZED VIEW sc_seen RENAME TO sc_other",
    );
    await owned(statement);
    await release();
    const { output } = await ended;
    expect(output).toContain(`${kind} of sc changed while it was dumped; again`);
    expect(output).toContain("is proven");
    expect(
      agent.shell(`pg_restore --file=- /backups/backups/${agent.list().backups.at(-1)?.id ?? ""}/appdb.dump`),
    ).toMatch(inDump);
  });

  it("is left out, and named, where it does so again and again", async () => {
    const owner = await cluster.login("primary", "scown");
    const running = agent.start("now", "logical");
    const names = ["crimson", "scarlet"];
    for (let ended: unknown; ended === undefined; ended = await Promise.race([running, sleep(2)])) {
      await owner.query(`ALTER TYPE sc.colour RENAME VALUE '${names[0] ?? ""}' TO '${names[1] ?? ""}'`);
      names.reverse();
    }
    await owner.end();
    const { output } = await running;
    const moved = "types of sc changed while it was dumped";
    expect(output.split(`${moved}; again`)).toHaveLength(3);
    expect(output).toContain("is proven");
    expect(last()?.leftOut).toEqual([{ service: "sc", why: moved }]);
  });

  it("is made again where it was restored in its place, and that undone", async () => {
    const { ended, release } = await holdDump(
      cluster,
      agent,
      "scown",
      "ALTER MATERIALIZED VIEW sc_seen RENAME TO sc_other",
    );
    cluster.ask("primary", "ALTER SCHEMA sc RENAME TO sc_elsewhere; ALTER SCHEMA sc_elsewhere RENAME TO sc");
    await release();
    const { output } = await ended;
    expect(output).toContain("schema sc changed while it was dumped; again");
    expect(output).toContain("is proven");
    expect(rowsInDump()).toMatchObject({ rows: 6000 });
  });

  it("is made again where it is restored in its place", async () => {
    const { ended, release } = await holdDump(
      cluster,
      agent,
      "scown",
      "ALTER MATERIALIZED VIEW sc_seen RENAME TO sc_other",
    );
    // As a restore in place leaves it, in less time than the dump waits.
    const kept = "sc_before_20261128t000000";
    cluster.ask(
      "primary",
      `ALTER SCHEMA sc RENAME TO ${kept}; CREATE SCHEMA sc;
       DO $$ DECLARE name text; BEGIN
         FOR name IN SELECT relname FROM pg_class WHERE relnamespace = '${kept}'::regnamespace AND relkind = 'r' LOOP
           EXECUTE format('CREATE TABLE sc.%I (LIKE ${kept}.%1$I)', name);
         END LOOP; END $$;
       INSERT INTO sc.sc_rows SELECT generate_series(1, 7000)`,
    );
    await release();
    const { output } = await ended;
    cluster.ask(
      "primary",
      `DROP SCHEMA sc CASCADE; ALTER SCHEMA ${kept} RENAME TO sc; DROP TABLE sc.sc_rows, sc.sc_held, sc.sc_hues; DROP MATERIALIZED VIEW sc.sc_seen; DROP VIEW sc.sc_first; DROP FUNCTION sc.first(); DROP TYPE sc.colour`,
    );
    expect(output).toContain("functions of sc; schema sc; types of sc; views of sc changed while it was dumped; again");
    expect(output).toContain("is proven");
    expect(rowsInDump()).toMatchObject({ rows: 7000 });
  });
});

describe("a dump that takes too long", () => {
  it("is one of each service after so many minutes, without the one that holds it up", async () => {
    const settings = "/backups/settings.json";
    agent.shell(`cp -p ${settings} /tmp/settings && sed -i 's/"dumpMinutes":120/"dumpMinutes":0.1/' ${settings}`);
    const { ended, release } = await holdDump(
      cluster,
      agent,
      "gtown",
      "ALTER MATERIALIZED VIEW gt_held RENAME TO gt_other",
    );
    const { output } = await ended;
    await release();
    agent.shell(`cp -p /tmp/settings ${settings}`);
    expect(output).toContain("it takes more than 0.1 minutes; each service by itself");
    expect(output).toContain("is proven");
    const { logical } = agent.list().backups.at(-1) ?? {};
    expect(logical?.leftOut).toEqual([{ service: "gt", why: "it takes more than 0.1 minutes" }]);
    expect(logical?.services).toEqual(["ag", "sc"]);
  });
});

describe("a dump for which the server has no lock left", () => {
  it("fails whole, and is tried again: whoever has few tables is not to blame, and is not left out", async () => {
    const owner = await cluster.login("primary", "agown");
    await owner.query("SET idle_in_transaction_session_timeout = 0; CREATE TABLE ag_few ()");
    const { ended, release } = await holdDump(cluster, agent, "agown", "LOCK TABLE ag_few");
    await expect(owner.query("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 100000) n")).rejects.toThrow(
      "out of shared memory",
    );
    await release();
    const { status, output } = await ended;
    await owner.query("SELECT pg_advisory_unlock_all(); DROP TABLE ag_few");
    await owner.end();
    expect(output).toMatch(/^logical backup failed: out of shared memory$/m);
    expect(status).toBe(1);
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([]);
  });
});

describe("a dump with definitions that nobody could restore", () => {
  it("is one of each service, without the one that has them", async () => {
    const owner = await cluster.login("primary", "gtown");
    const functions = Array.from({ length: 10 }, (_, n) => `gt.gt_long${n}()`);
    for (const name of functions) {
      await owner.query(
        `DO $$ BEGIN EXECUTE format('CREATE FUNCTION ${name} RETURNS int LANGUAGE sql AS %L',
                                    'SELECT 1 -- ' || repeat('x', 15000000)); END $$`,
      );
    }
    const { output } = agent.run("now", "logical");
    await owner.query(`DROP FUNCTION ${functions.join(", ")}`);
    await owner.end();
    const why = "its definitions are more than 128 MiB, and could hardly be restored";
    expect(output).toContain(`${why}; each service by itself`);
    expect(output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical).toMatchObject({
      services: ["ag", "sc"],
      leftOut: [{ service: "gt", why }],
    });
  });
});

describe("what a role has set itself", () => {
  it("keeps only the roles from being dumped, and is named; in the database it keeps all, and is named", async () => {
    const user = await cluster.login("primary", "gtuser");
    await user.query("SET default_transaction_read_only = off");
    const letters = Array.from({ length: 30_000 }, (_, n) => createHash("md5").update(String(n)).digest("hex")[0]);
    await user.query(`ALTER ROLE gtuser SET local_preload_libraries = '${letters.join("")}'`);
    expect(agent.run("now", "logical").output).toContain("is proven");
    const without = agent.list().backups.at(-1);
    expect(without?.logical).toMatchObject({
      roles: [],
      services: ["gt", "ag", "sc"],
      leftOut: [{ service: "globals", why: expect.stringMatching(/^gtuser has settings of \d+ bytes$/) as unknown }],
    });
    expect(without?.files.map(({ name }) => name)).toEqual(["appdb.dump"]);
    cluster.ask("primary", "ALTER ROLE gtuser RESET local_preload_libraries");
    const verifier = cluster.ask("primary", "SELECT rolpassword FROM pg_authid WHERE rolname = 'gtuser'");
    await user.query(`ALTER ROLE gtuser PASSWORD '${verifier.replace(":", `:${"A".repeat(1_000_000)}`)}'`);
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([
      { service: "globals", why: "gtuser has a password whose verifier is 1000133 bytes" },
    ]);
    cluster.ask("primary", `ALTER ROLE gtuser PASSWORD '${verifier}'`);
    // The second is stored in less than a kilobyte.
    for (const long of [letters.join(""), Array<string>(20_000).fill("a").join(", ")]) {
      await user.query(`ALTER ROLE gtuser IN DATABASE appdb SET local_preload_libraries = '${long}'`);
      expect(agent.run("now", "logical").output).toMatch(/^logical backup failed: gtuser has settings of \d+ bytes$/m);
      cluster.ask("primary", "ALTER ROLE gtuser IN DATABASE appdb RESET local_preload_libraries");
    }
    await user.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.list().backups.at(-1)?.logical?.leftOut).toEqual([]);
  });
});

describe("a dump of what owners make", () => {
  it("has a table by its name in the snapshot, and runs no view as app that has its name of before", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE TABLE gt_a1 (id int); CREATE TABLE gt_a2 (id int)");
    const held = await holdDump(cluster, agent, "gtown", "LOCK TABLE gt_a1");
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
    expect(agent.manifest().logical).toMatchObject({ leftOut: [], tables: { "gt.gt_a3": { rows: 0 } } });
    await owner.query("DROP VIEW gt_a2");
    await owner.end();
    await superuser.end();
  });

  // 1/3 is "0.3" for who makes it, and long for everybody else, whose planner would be busy for years.
  const long = (letters: number) => `CASE WHEN length((1::float8 / 3)::text) > 5 THEN ${letters} ELSE 1 END`;
  const condition = `strpos(repeat('a', ${long(100_000_000)}), 'b' || repeat('a', ${long(50_000_000)})) = 0`;

  it("computes nothing that its owner has written into an index, which nobody could end", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query(
      `SET extra_float_digits = -15; CREATE TABLE gt_slow (id int); INSERT INTO gt_slow VALUES (1);
       CREATE INDEX ON gt_slow (id) WHERE ${condition}`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(agent.manifest().logical).toMatchObject({ leftOut: [], tables: { "gt.gt_slow": { rows: 1 } } });
    await owner.query("DROP TABLE gt_slow");
    await owner.end();
  });

  // Which pg_dump would read by name.
  it("nor of a table that is made in a sequence's place: that waits for the dump", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE SEQUENCE gt_serial; SET extra_float_digits = -15");
    const held = await holdDump(cluster, agent, "gtown", "ALTER MATERIALIZED VIEW gt_held RENAME TO gt_other");
    const dropped = owner.query("SET lock_timeout = '2s'; DROP SEQUENCE gt_serial");
    await expect(dropped).rejects.toThrow("canceling statement due to lock timeout");
    await held.release();
    expect((await held.ended).output).toContain("is proven");
    expect(agent.manifest().logical).toMatchObject({
      leftOut: [],
      sequences: { "gt.gt_serial": expect.anything() as unknown },
    });

    // Before, and the dump sees the table.
    const locked = await holdDump(cluster, agent, "gtown", "LOCK TABLE gt_a1");
    await owner.query(
      `DROP SEQUENCE gt_serial; CREATE TABLE gt_serial (last_value int8, is_called bool);
       CREATE INDEX ON gt_serial (last_value) WHERE ${condition}`,
    );
    await locked.release();
    expect((await locked.ended).output).toContain("is proven");
    expect(agent.manifest().logical).toMatchObject({ leftOut: [], tables: { "gt.gt_serial": { rows: 0 } } });
    await owner.query("DROP TABLE gt_serial");
    await owner.end();
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
    const { logical } = agent.manifest();
    expect(logical?.leftOut).toEqual([]);
    expect(logical?.tables).toMatchObject({ "gt.gt_h0": { rows: 2 } });
  });
});
