import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metricsPort } from "../../agent/serve";
import { superuserRole } from "../../components/access/plan-items";
import { backupProblems, collectBackups } from "../../ops/status/backup";
import { tablesOf } from "../../agent/proof/tables";
import type { BackupKind } from "../../agent/schedule";
import { services } from "../../services/registry";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { furnish } from "../support/furnish";
import { run, type Ran } from "../support/run";
import { waitFor } from "../support/wait";
import { completeSegments } from "../support/wal";

// The drill's container: it restores what the backup's has made, without network and without passwords.
let cluster: TestCluster;
let agent: BackupAgent;
let drills: BackupAgent;
beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true, withDrill: true });
  agent = backupAgent(cluster);
  drills = backupAgent(cluster, cluster.names.drill.container);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
  await agent.hasBegun();
});
afterAll(() => cluster.clean());

const drill = () => drills.run("drill", "now");
/** A drill where a dump may take so long. */
async function drillWithin(minutes: number, meanwhile = () => Promise.resolve()): Promise<Ran> {
  const settings = "/backups/settings.json";
  agent.shell(`cp -p ${settings} /tmp/settings && sed -i 's/"dumpMinutes":120/"dumpMinutes":${minutes}/' ${settings}`);
  const drilling = drills.start("drill", "now");
  await meanwhile();
  const ran = await drilling;
  agent.shell(`cp -p /tmp/settings ${settings}`);
  return ran;
}
/** What the last drill has found of one kind, as it is kept. */
const last = (kind: BackupKind) =>
  agent
    .list()
    .drills.at(-1)
    ?.backups.find((one) => one.kind === kind);
/** Signals the session that has been reading a table for a while, by hand. */
async function signalReader(signal: "KILL" | "STOP"): Promise<void> {
  const script = `sleep 1; for one in /proc/[0-9]*; do if tr '\\0' ' ' < $one/cmdline 2> /dev/null | grep -q '^postgres: app .*COPY'
                    then sleep 1; tr '\\0' ' ' < $one/cmdline 2> /dev/null | grep -q '^postgres: app .*COPY' &&
                         kill -${signal} "\${one#/proc/}" && echo done; fi; done`;
  await waitFor(() => run("docker", ["exec", drills.container, "sh", "-c", script]).stdout === "done\n", 120);
}
/** Of a few bytes each, and 131,000 characters in COPY: fifty gigabytes. */
const longRows = "SELECT '1e131000'::numeric + 0 AS n FROM generate_series(1, 400000)";
/** As the backup's container sees it. */
const scratch = () => agent.shell("ls /drill/scratch");
const problems = () => {
  const status = collectBackups({ name: "test", settings: cluster.settings, dockerHost: undefined });
  return backupProblems(status, services.slice(0, 3), "test").filter((problem) => problem.includes("drill"));
};

/** The agent's own metrics of drills, as the private network sees them. */
function metrics(): Readonly<Record<string, number>> {
  const request = `exec 3<>/dev/tcp/${agent.container}/${metricsPort}; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`;
  const { stdout } = cluster.exec("replica", "bash", "-c", request);
  const values = [...stdout.matchAll(/^centraldb_backup_drill_(\S+) (\S+)$/gm)];
  return Object.fromEntries(values.map(([, series = "", value]) => [series, Number(value)]));
}

describe("a new stack", () => {
  it("has its first drill by itself; one that is killed leaves nothing, and is made again", async () => {
    await waitFor(() => scratch() !== "" && agent.list().drillSince !== null);
    run("docker", ["kill", "--signal", "KILL", drills.container]);
    const [left = ""] = scratch().split("\n");
    expect(agent.list().drills).toEqual([]);
    run("docker", ["start", drills.container]);
    await waitFor(() => agent.list().drills.length === 1, 120);
    expect(drills.log()).toContain(`${left} is removed: a drill that was killed left it`);
    expect(scratch()).toBe("");
    const { drills: kept, drillSince, backups } = agent.list();
    expect(drillSince).toBeNull();
    expect(kept[0]?.backups).toEqual(
      (["logical", "physical"] as const).map((kind) => ({
        ...{ kind, backup: backups.find((backup) => backup.kind === kind)?.id, wrong: [], verdicts: [] },
        startedAt: expect.stringMatching(/^\d{4}-/) as unknown,
        seconds: expect.any(Number) as unknown,
        lostSeconds: kind === "physical" ? (expect.any(Number) as unknown) : null,
      })),
    );
    expect(problems()).toEqual([]);
    const [logical, physical] = kept[0]?.backups ?? [];
    expect(metrics()).toEqual({
      'timestamp_seconds{kind="logical"}': Date.parse(logical?.startedAt ?? "") / 1000,
      'timestamp_seconds{kind="physical"}': Date.parse(physical?.startedAt ?? "") / 1000,
      'last_success_timestamp_seconds{kind="logical"}': Date.parse(logical?.startedAt ?? "") / 1000,
      'last_success_timestamp_seconds{kind="physical"}': Date.parse(physical?.startedAt ?? "") / 1000,
      'success{kind="logical"}': 1,
      'success{kind="physical"}': 1,
      'recovery_seconds{kind="logical"}': logical?.seconds,
      'recovery_seconds{kind="physical"}': physical?.seconds,
      'lost_seconds{kind="physical"}': physical?.lostSeconds,
    });
  });

  it("has it in a container that reaches nobody, knows no password, and writes nothing but its own volume", () => {
    const inside = (script: string) => run("docker", ["exec", drills.container, "sh", "-c", script]);
    expect(inside("ls /sys/class/net").stdout).toBe("lo\n");
    expect(inside("ls -A /etc/centraldb").status).not.toBe(0);
    expect(inside("touch /backups/x /backups/backups/x").output.match(/Read-only file system/g)).toHaveLength(2);
    expect(inside("grep -E '^(Cap(Eff|Prm|Bnd)|NoNewPrivs)' /proc/self/status").stdout.split(/\s+/)).toEqual([
      ...["CapPrm:", "0000000000000000", "CapEff:", "0000000000000000", "CapBnd:", "0000000000000000"],
      ...["NoNewPrivs:", "1", ""],
    ]);
    expect(inside("env").stdout).not.toMatch(/PASS|SECRET|KEY/);
    expect(agent.shell("touch /drill/x 2>&1 || true")).toContain("Read-only file system");
    expect(drills.run("drill", "health")).toMatchObject({ status: 0, stdout: "ok\n" });
  });

  it("makes a second one when the first has ended, and ends one at once where it is stopped", async () => {
    const before = agent.list().drills.length;
    const first = drills.start("drill", "now");
    await waitFor(() => scratch() !== "");
    const second = drills.start("drill", "now");
    expect(await first).toMatchObject({ status: 0 });
    await waitFor(() => scratch() !== "");
    const began = Date.now();
    run("docker", ["stop", drills.container]);
    const tookMs = Date.now() - began;
    const { status, output } = await second;
    run("docker", ["start", drills.container]);
    expect(tookMs).toBeLessThan(15_000);
    expect(output).toMatch(/^a drill is under way since \S+: this one begins when it has ended$/m);
    expect(output).toContain("the drill was ended: the container stops");
    expect(status).not.toBe(0); // 137 where the container's end has ended it
    expect(scratch()).toBe("");
    expect(agent.list()).toMatchObject({ drillSince: null });
    expect(agent.list().drills).toHaveLength(before + 1);
    await waitFor(() => drills.run("drill", "health").status === 0);
  });
});

describe("a drill of the newest dump", () => {
  beforeAll(async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query(furnish);
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
  });

  it("finds everything as it was, roles and grants too", () => {
    const { status, output } = drill();
    expect(output).toMatch(
      /^3 of 3 services are restored\n\S+-logical: restored, and what it was; it took \d+\.\d s\n\d+ tables are read\n\S+-physical: restored, and what it was; it took \d+\.\d s; without both servers the last \d+ s would be lost\n$/,
    );
    expect(status).toBe(0);
  });

  it("finds a value that was changed in the dump, and in its sum", () => {
    const { container } = cluster.names.backup;
    const id = agent.list().backups.findLast(({ kind }) => kind === "logical")?.id ?? "";
    const folder = `/backups/backups/${id}`;
    agent.shell(`cp -a ${folder} /tmp/whole`);
    // The same rows by number; one value, one sequence, one index are not what they were.
    const changes = [
      "UPDATE gt.gt_kinds SET t = 'XY' WHERE id = 500",
      "SELECT setval('gt.gt_own', 41)",
      "DROP INDEX gt.gt_kinds_c_d_idx",
      "ALTER TABLE gt.gt_child DISABLE TRIGGER touch",
    ];
    for (const change of changes) cluster.ask("primary", change);
    const forge = `const fs = require("fs"), file = "${folder}/appdb.dump", manifest = JSON.parse(fs.readFileSync("${folder}/manifest.json"));
      const one = manifest.files.find(({ name }) => name === "appdb.dump");
      one.bytes = fs.statSync(file).size; one.sha256 = require("crypto").createHash("sha256").update(fs.readFileSync(file)).digest("hex");
      fs.writeFileSync("${folder}/manifest.json", JSON.stringify(manifest));`;
    agent.shell(
      `PGPASSFILE=/etc/centraldb/pgpass PGSSLMODE=require pg_dump -Fc --no-large-objects -f ${folder}/appdb.dump ` +
        `"host=${cluster.names.primary.container} user=app dbname=appdb" && node -e '${forge}'`,
    );
    const { status, output } = drill();
    agent.shell(`rm -rf ${folder} && mv /tmp/whole ${folder}`);
    expect(output.split("\n").filter((line) => line.includes("-logical: "))).toEqual([
      `${id}: gt.gt_kinds has other values in its 1000 rows`,
      `${id}: gt.gt_kinds has 2 indexes, and had 3`,
      `${id}: sequence gt.gt_own is at 41, and was at 40`,
      expect.stringMatching(`^${id}: NOT what it was; it took \\d+\\.\\d s$`),
    ]);
    expect(status).toBe(1);
    expect(problems()).toEqual([
      expect.stringMatching(
        `^the last drill, of \\d+ s ago, failed: ${id}: gt.gt_kinds has other values in its 1000 rows and 2 more: ` +
          "npm run ops -- backup drill --stack test$",
      ),
    ]);
    expect(metrics()).toMatchObject({ 'success{kind="logical"}': 0, 'success{kind="physical"}': 1 });
    expect(run("docker", ["exec", container, "sh", "-c", "ls /backups/backups"]).stdout).not.toContain("partial");
    expect(drill()).toMatchObject({ status: 0 });
    expect(problems()).toEqual([]);
    expect(metrics()).toMatchObject({ 'success{kind="logical"}': 1 });
  });

  it("ends code of a service that no limit ends, names it, and restores the others", async () => {
    const owner = await cluster.login("primary", "scown");
    // Only where it is restored; it catches that it is cancelled.
    await owner.query(
      `CREATE FUNCTION sc.sc_stay(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> current_user THEN
           ALTER ROLE scown IN DATABASE appdb SET work_mem = '1MB';
           LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
         END IF; RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_stay(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const { status, output } = await drillWithin(0.1);
    await owner.query("DROP TABLE sc_t");
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    const id = /^(\S+-logical): /m.exec(output)?.[1] ?? "";
    expect(output).toContain("2 of 3 services are restored\n");
    expect(output.split("\n").filter((line) => line.startsWith(`${id}: `))).toEqual([
      `${id}: sc cannot be restored: it takes more than 0.1 minutes`,
      expect.stringContaining(`${id}: sc.sc_t`),
      expect.stringContaining("NOT what it was"),
    ]);
    expect(output).toMatch(/-physical: restored, and what it was; /);
    expect(status).toBe(1);
  });

  it("lets a service's code that takes all memory fail alone", async () => {
    const owner = await cluster.login("primary", "scown");
    await owner.query(
      `CREATE FUNCTION sc.sc_eat(int) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE a text; b text; c text; d text; e text; f text; BEGIN
         IF session_user <> current_user THEN
           a := repeat('x', 900000000); b := a || ''; c := a || ''; d := a || ''; e := a || ''; f := a || '';
         END IF; RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_eat(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const { status, output } = drill();
    await owner.query("DROP TABLE sc_t");
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(output).toContain("2 of 3 services are restored\n");
    expect(output).toMatch(/-logical: sc cannot be restored: .*out of memory/);
    expect(output).toMatch(/-physical: restored, and what it was; /);
    expect(status).toBe(1);
  });

  it("names the table that cannot be read, compares the others, and asks the audit", async () => {
    const owner = await cluster.login("primary", "scown");
    // Six megabytes, whose text in COPY is more than PostgreSQL makes of one row.
    await owner.query(
      `CREATE FUNCTION sc.sc_grow(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> current_user THEN CREATE TABLE sc.sc_big AS SELECT repeat(chr(92), 270000000) AS t, repeat(chr(92), 270000000) AS u; END IF;
         RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_grow(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const { status, output } = drill();
    await owner.query("DROP TABLE sc_t");
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    const id = /^(\S+-logical): /m.exec(output)?.[1] ?? "";
    expect(output.split("\n").filter((line) => line.startsWith(`${id}: `))).toEqual([
      `${id}: sc.sc_big was not in the dump's snapshot`,
      expect.stringMatching(/: sc\.sc_big cannot be read: .*(out of memory|invalid memory alloc request)/),
      expect.stringContaining("NOT what it was"),
    ]);
    expect(status).toBe(1);
  });

  it("restores the others in another server where a service's code ends the first", async () => {
    const owner = await cluster.login("primary", "scown");
    await owner.query(
      `CREATE FUNCTION sc.sc_wait(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> current_user THEN PERFORM pg_sleep(60); END IF; RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_wait(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const drilling = drills.start("drill", "now");
    // By hand, as a crash in its own process would.
    const crash = `for one in /proc/[0-9]*; do if tr '\\0' ' ' < $one/cmdline 2> /dev/null | grep -q '^postgres: scown_restore'
                     then kill -KILL "\${one#/proc/}" && echo done; fi; done`;
    await waitFor(() => run("docker", ["exec", drills.container, "sh", "-c", crash]).stdout === "done\n", 60);
    const { status, output } = await drilling;
    await owner.query("DROP TABLE sc_t");
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    expect(output).toMatch(/-logical: sc ends the server: /);
    expect(output).toContain("2 of 2 services are restored\n");
    expect(output).toMatch(/-physical: restored, and what it was; /);
    expect(status).toBe(1);
  });

  it("gives up reading a restored service after a dump's time, names it and the table, and compares the others", async () => {
    const [aggregator, scheduler] = [await cluster.login("primary", "agown"), await cluster.login("primary", "scown")];
    await aggregator.query(
      `CREATE FUNCTION ag.ag_grow(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> current_user THEN CREATE TABLE ag.ag_long AS ${longRows}; END IF; RETURN true; END $$;
       CREATE TABLE ag_t (i int CHECK (ag.ag_grow(i))); INSERT INTO ag_t VALUES (1)`,
    );
    // That of this one is found shows that it was compared.
    await scheduler.query(
      `CREATE FUNCTION sc.sc_add(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> current_user THEN CREATE TABLE sc.sc_more (); END IF; RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_add(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const { status, output } = await drillWithin(0.2);
    await aggregator.query("DROP TABLE ag_t");
    await scheduler.query("DROP TABLE sc_t");
    for (const owner of [aggregator, scheduler]) await owner.end();
    const kept = last("logical");
    expect(agent.run("now", "logical").output).toContain("is proven");
    const id = /^(\S+-logical): /m.exec(output)?.[1] ?? "";
    expect(output.split("\n").filter((line) => line.startsWith(`${id}: `))).toEqual([
      `${id}: ag.ag_long was not in the dump's snapshot`,
      `${id}: ag.ag_long cannot be read: it takes more than 0.2 minutes`,
      `${id}: 1 table behind ag.ag_long cannot be read then`,
      `${id}: sc.sc_more was not in the dump's snapshot`,
      expect.stringContaining("NOT what it was"),
    ]);
    expect(kept?.verdicts).toEqual([
      { service: "ag", findings: 3, first: "ag.ag_long was not in the dump's snapshot" },
      { service: "sc", findings: 1, first: "sc.sc_more was not in the dump's snapshot" },
    ]);
    expect(status).toBe(1);
  });

  describe("beside an app's rows that take longer to be read than a dump may take", () => {
    let others = "";
    const physical = (output: string) => output.split("\n").filter((line) => line.includes("-physical: "));
    const names = (how: string) => [
      expect.stringMatching(`-physical: ag.ag_long cannot be read: ${how}$`) as string,
      expect.stringMatching(/-physical: 1 table behind ag\.ag_long cannot be read then$/) as string,
      expect.stringContaining("NOT what it was") as string,
    ];

    beforeAll(async () => {
      // A new stack's own would read them for two hours.
      await waitFor(() => agent.list().drills.length > 0, 300);
      const superuser = await cluster.login("primary", superuserRole);
      // More than is read in no time.
      await superuser.query(
        "SET ROLE scown; CREATE TABLE sc.sc_rows AS SELECT i FROM generate_series(1, 200000) i; RESET ROLE",
      );
      others = `${(await tablesOf(superuser)).length} tables are read`;
      await superuser.end();
      const owner = await cluster.login("primary", "agown");
      await owner.query("CREATE TABLE ag_long (n numeric); CREATE TABLE ag_more ()");
      const app = await cluster.login("primary", "agapp");
      await app.query(`INSERT INTO ag_long ${longRows}`);
      for (const client of [app, owner]) await client.end();
      expect(agent.run("now", "physical").output).toContain("is proven");
    });
    afterAll(() => {
      cluster.ask("primary", "DROP TABLE ag.ag_long, ag.ag_more, sc.sc_rows");
    });

    it("names the service's table, and reads all others", async () => {
      const { status, output } = await drillWithin(0.2);
      expect(physical(output)).toEqual(names("it takes more than 0.2 minutes"));
      expect(output).toContain(`\n${others}\n`);
      expect(last("physical")?.verdicts).toMatchObject([{ service: "ag", findings: 2 }]);
      expect(status).toBe(1);
    });

    it("does so also where nothing ends the session that reads them", async () => {
      const { output } = await drillWithin(0.2, () => signalReader("STOP"));
      expect(physical(output)).toEqual(names("it takes more than 0.2 minutes"));
      expect(output).toContain(`\n${others}\n`);
    });

    it("does so also where the server ends with that session", async () => {
      const { output } = await drillWithin(1, () => signalReader("KILL"));
      expect(physical(output)).toEqual(names("Connection terminated unexpectedly"));
      expect(output).toContain(`\n${others}\n`);
      expect(scratch()).toBe("");
    });
  });

  it("finds that WAL is missing between the base and the end", async () => {
    const compressed = () => agent.shell("find /backups/wal -name '*.gz' | sort").split("\n").filter(Boolean);
    const before = compressed().length;
    completeSegments(cluster, "primary", 3);
    await waitFor(() => compressed().length >= before + 3, 60);
    const file = compressed().at(-2) ?? "";
    agent.shell(`mv ${file} /tmp/segment.gz`);
    const { status, output } = drill();
    agent.shell(`mv /tmp/segment.gz ${file}`);
    expect(output).toMatch(/^\S+-physical: the recovery ends in [0-9A-F]{24}, and [0-9A-F]{24} was received$/m);
    expect(status).toBe(1);
  });
});
