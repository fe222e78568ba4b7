import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { superuserRole } from "../../components/access/plan-items";
import { tablesOf } from "../../agent/proof/tables";
import type { BackupKind } from "../../agent/schedule";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { drilledCluster } from "../support/drill";
import { run, type Ran } from "../support/run";
import { waitFor } from "../support/wait";

// What a service's code, and its rows, do to a drill that restores and reads them.
let cluster: TestCluster;
let agent: BackupAgent;
let drills: BackupAgent;
beforeAll(async () => {
  ({ cluster, agent, drills } = await drilledCluster());
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

describe("a drill", () => {
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
      expect(agent.shell("ls /drill/scratch")).toBe("");
    });
  });
});
