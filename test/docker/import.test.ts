import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { importBackup } from "../../ops/backup/import";
import type { Platform } from "../../ops/restore/platform";
import { restoreBeside } from "../../ops/restore/restore";
import { steps } from "../../ops/restore/steps";
import { choose } from "../../ops/restore/wanted";
import { services } from "../../services/registry";
import { platformOn } from "../support/restore";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { furnish } from "../support/furnish";
import { run } from "../support/run";
import { waitFor } from "../support/wait";

// Files of the page's own commands, with which somebody comes: made a backup, and restored.
let cluster: TestCluster;
let agent: BackupAgent;
let platform: Platform;
let folder: string;
/** What pg_dump says of gt. */
let source: readonly string[];

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  agent = backupAgent(cluster);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
  const owner = await cluster.login("primary", "gtown");
  // What only its owner may load is in it.
  await owner.query(furnish).finally(() => owner.end());
  await agent.hasBegun();
  source = text("appdb");
  folder = mkdtempSync(join(tmpdir(), "centraldb-import-"));
  platform = platformOn(cluster);
});
afterAll(() => {
  cluster.clean();
  rmSync(folder, { recursive: true, force: true });
});

function inDatabase(query: string): void {
  const { status, output } = cluster.exec("primary", "psql", "-XU", "postgres", "-d", "appdb", "-c", query);
  if (status !== 0) throw new Error(output);
}

const text = (name: string) =>
  cluster
    .exec("primary", "pg_dump", "-U", "postgres", "-n", "gt", "-d", name)
    .stdout.split("\n")
    .filter((line) => !/^\\(un)?restrict /.test(line));

/** `docker exec pg16-primary … > file`, as the page has it. */
function write(name: string, ...command: string[]): string {
  const file = join(folder, name);
  const output = openSync(file, "w");
  execFileSync("docker", ["exec", cluster.names.primary.container, ...command], { stdio: ["ignore", output, "pipe"] });
  closeSync(output);
  return file;
}

const dumpCommand = ["pg_dump", "-U", "app", "-d", "appdb"];

/** Imports a file, and says what was told of it. */
async function imported(file: string, trustsOwners = false): Promise<string> {
  let said = "";
  const written = vi.spyOn(process.stdout, "write").mockImplementation((words) => {
    said += String(words);
    return true;
  });
  await importBackup(platform.stack, file, { trustsOwners, signal: new AbortController().signal }).finally(() =>
    written.mockRestore(),
  );
  return said;
}

async function restored(id: string, name: string): Promise<readonly string[]> {
  const wanted = choose(agent.list().backups, cluster.plan, { id, service: "gt" });
  await restoreBeside(
    platform,
    wanted,
    name,
    steps(9, () => undefined),
  );
  return text(name);
}

/** A table's rows in a backup. */
const rowsOf = (id: string, table: string): readonly string[] => {
  const text = agent.shell(`pg_restore --data-only --table=${table} --file=- /backups/backups/${id}/appdb.dump`);
  return text
    .slice(text.indexOf(" FROM stdin;\n") + 13, text.indexOf("\n\\.\n"))
    .split("\n")
    .filter(Boolean);
};

/** Imports where a dump may take so long. */
async function within<T>(minutes: number, work: () => Promise<T>): Promise<T> {
  const settings = "/backups/settings.json";
  agent.shell(`cp -p ${settings} /tmp/settings && sed -i 's/"dumpMinutes":120/"dumpMinutes":${minutes}/' ${settings}`);
  return work().finally(() => agent.shell(`cp -p /tmp/settings ${settings}`));
}

/** What stands in front of an object of gt's. */
const gtEntry = "--\n-- Name: gt_more; Type: TABLE; Schema: gt; Owner: gtown\n--\n\n";

const idIn = (said: string) => /\d{8}T\d{6}Z-imported/.exec(said)?.[0] ?? said;
const store = () => agent.shell("ls /backups/backups");
/** Names of the containers that load a file. */
const loading = () => {
  const ofImports = `name=^/?${cluster.names.backup.container}-import-`;
  return run("docker", ["ps", "--all", "--format", "{{.Names}}", "--filter", ofImports]).stdout.trim();
};

describe("a file of the page's commands", () => {
  it("of pg_dump's becomes a backup that is restored like another, and says what nobody can know", async () => {
    const said = await imported(write("backup_20261127.sql", ...dumpCommand));
    expect(said).toMatch(/tables with 11\d\d rows, of gt, ag, sc; it is pinned/);
    expect(said.match(/cannot be verified: .*/g)).toEqual([
      "cannot be verified: that its rows are those the database had: a dump has no checksums",
    ]);
    const found = agent.list().backups.find(({ id }) => id === idIn(said));
    expect(found?.imported?.name).toBe("backup_20261127.sql");
    expect(found?.imported?.sha256).toBe(
      execFileSync("sha256sum", [join(folder, "backup_20261127.sql")], { encoding: "utf8" }).slice(0, 64),
    );
    expect(agent.run("verify", idIn(said)).status).toBe(0);
    expect(await restored(idIn(said), "appdb_restored_20261127t000001")).toEqual(source);
  });

  it.each([
    ["with INSERT, without owners and rights", ["--inserts", "--no-owner", "--no-acl"]],
    ["with what drops and creates everything, and whatever pg_dump says besides", ["-c", "--if-exists", "-C", "-v"]],
    ["with SET SESSION AUTHORIZATION", ["--use-set-session-authorization"]],
    ["in its own format", ["-Fc"]],
  ])("of pg_dump's %s has the same in it", async (_, more) => {
    const said = await imported(write("other.sql", ...dumpCommand, ...more));
    const of = (id?: string) => agent.list().backups.find((one) => one.id === id)?.logical;
    const first = agent.list().backups.find(({ imported: file }) => file?.name === "backup_20261127.sql");
    expect(of(idIn(said))).toEqual(of(first?.id));
  });

  it("of pg_basebackup's too, whose files its own manifest proves", async () => {
    const base = write(
      "backup_20261127.tar.gz",
      "pg_basebackup",
      "-D",
      "-",
      "-Ft",
      "-z",
      "-X",
      "fetch",
      "-c",
      "fast",
      "-U",
      "repl",
    );
    const said = await imported(base);
    expect(said).toMatch(/of gt, ag, sc; it is pinned/);
    expect(said).not.toContain("cannot be verified");
    expect(await restored(idIn(said), "appdb_restored_20261127t000002")).toEqual(source);
  });

  it("is no backup of the schedule's: the newest that is restored is another", () => {
    const newest = choose(agent.list().backups, cluster.plan).backup;
    expect(newest.kind).toBe("logical");
  });

  it("of some services, compressed, says which it has not, and what belongs to none", async () => {
    const sql = readFileSync(write("gt.sql", ...dumpCommand, "-n", "gt"), "utf8");
    const file = join(folder, "gt.sql.gz");
    const foreign = `--\n-- Name: old; Type: TABLE; Schema: public; Owner: someone\n--\n
CREATE TABLE public.old ();\n\n\nALTER TABLE public.old OWNER TO "someone";\n\n`;
    writeFileSync(file, gzipSync(sql.replace("SET row_security = off;", (line) => `${line}\n\n${foreign}`)));
    const said = await imported(file);
    expect(said).toContain("it has no ag: it is not in the file");
    expect(said).toContain("cannot be verified: tables of no service, which no restore takes: public.old");
    expect(said).toContain("cannot be verified: owners and rights of roles that are not the stack's: someone");
    expect(() => choose(agent.list().backups, cluster.plan, { id: idIn(said) })).toThrow("ag: it is not in the file");
  });
});

describe("another file is refused, and leaves nothing:", () => {
  const sql = () => readFileSync(join(folder, "backup_20261127.sql"), "utf8");
  it.each([
    ["one that was cut off", () => sql().slice(0, -200), "it is cut off"],
    ["one that was cut off in a table's rows", () => sql().slice(0, sql().indexOf("\\.\n") - 5), "it is cut off"],
    [
      "one of whose services none can be loaded",
      () => readFileSync(join(folder, "gt.sql"), "utf8").replace("CREATE TABLE gt.gt_part ", "$&gt_part "),
      "no service of it can be loaded: gt: its SQL fails: syntax error",
    ],
    [
      "one with a command of psql's in a statement",
      () =>
        readFileSync(join(folder, "gt.sql"), "utf8").replace("CREATE TABLE gt.gt_part ", "$&\\! touch /tmp/found\n"),
      "no service of it can be loaded: gt: its SQL fails: backslash commands are restricted",
    ],
    [
      "one without a service",
      () => "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n",
      "no schema of a service",
    ],
    ["a picture", () => Buffer.alloc(5000, 7), "neither pg_dump's SQL, nor its custom format, nor"],
    [
      "one in pg_dump's own format that was cut off",
      () => {
        const { container } = cluster.names.primary;
        const whole = execFileSync("docker", ["exec", container, ...dumpCommand, "-Fc"], { maxBuffer: 1024 ** 3 });
        return whole.subarray(0, -100);
      },
      "it cannot be read to its end",
    ],
    [
      "a tar of something else",
      () => execFileSync("tar", ["-cz", "-C", folder, "backup_20261127.sql"]),
      "it has no PG_VERSION",
    ],
    [
      "a base backup that was cut off",
      () => readFileSync(join(folder, "backup_20261127.tar.gz")).subarray(0, 100_000),
      "it cannot be unpacked",
    ],
  ])("%s", async (_, contents, why) => {
    const before = store();
    const file = join(folder, "other");
    writeFileSync(file, contents());
    await expect(imported(file)).rejects.toThrow(why);
    expect(store()).toBe(before);
  });

  it("a base backup without its WAL", async () => {
    const file = write(
      "none.tar.gz",
      "pg_basebackup",
      "-D",
      "-",
      "-Ft",
      "-z",
      "-X",
      "none",
      "-c",
      "fast",
      "-U",
      "repl",
    );
    await expect(imported(file)).rejects.toThrow("it has no WAL");
  });

  it("one whose files were changed after they were copied", async () => {
    const inside = join(folder, "inside");
    const tar = `mkdir -p ${inside} && tar -xzf ${join(folder, "backup_20261127.tar.gz")} -C ${inside}
      && echo x >> ${inside}/global/pg_filenode.map && tar -czf ${join(folder, "changed.tar.gz")} -C ${inside} .`;
    execFileSync("sh", ["-ec", tar.replaceAll("\n", " ")]);
    await expect(imported(join(folder, "changed.tar.gz"))).rejects.toThrow("pg_filenode.map");
  });
});

/** As `docker exec` has it of the container that loads a file. */
const inside = (script: string) => run("docker", ["exec", loading(), "sh", "-c", script]);

describe("what runs in it", () => {
  it("is no command of psql's, and reaches neither network, backups nor passwords", async () => {
    const spy = `\\! touch /tmp/found
\\copy gt.gt_child (note) FROM PROGRAM 'echo found'
CREATE TABLE gt.gt_wait AS SELECT 1 AS n FROM pg_sleep(15);
`;
    const file = join(folder, "spy.sql");
    const sql = readFileSync(join(folder, "gt.sql"), "utf8");
    // Behind the last object of gt's.
    writeFileSync(
      file,
      sql.replace("--\n-- PostgreSQL database dump complete", (end) => `${gtEntry}${spy}${end}`),
    );
    const importing = imported(file);
    await vi.waitFor(() => expect(inside("grep -l gtown_restor[e] /proc/[0-9]*/cmdline").stdout).not.toBe(""), 60_000);
    expect(inside("ls /sys/class/net").stdout).toBe("lo\n");
    expect(inside("grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status").stdout.split(/\s+/)).toEqual([
      ...["CapPrm:", "0000000000000000", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", ""],
    ]);
    expect(inside("ls -A /backups; ls -A /etc/centraldb; ls /var/run/docker.sock").stdout.trim()).toBe("");
    expect(inside("env").stdout).not.toMatch(/PASS|SECRET|KEY/);
    expect(inside("ls /tmp").stdout).not.toContain("found");
    const said = await importing;
    expect(said).toContain("what is of no object, and was left out: \\! touch /tmp/found; \\copy gt.gt_child");
    expect(rowsOf(idIn(said), "gt_child")).not.toContain("found");
  });

  it("is gone when it is interrupted, with its container and what it had made", async () => {
    const stop = new AbortController();
    const before = store();
    const file = join(folder, "slow.sql");
    const sleep = `CREATE SCHEMA gt;\n\n${gtEntry}SELECT pg_sleep(600);\n`;
    writeFileSync(
      file,
      `-- PostgreSQL database dump\n\\restrict key\n-- Name: gt; Type: SCHEMA; Schema: -; Owner: platform\n${sleep}-- PostgreSQL database dump complete\n`,
    );
    const running = importBackup(platform.stack, file, { trustsOwners: false, signal: stop.signal });
    const ended = expect(running).rejects.toThrow("stopped");
    await vi.waitFor(() => expect(inside("grep -l gtown_restor[e] /proc/[0-9]*/cmdline").stdout).not.toBe(""), 60_000);
    stop.abort(new Error("stopped"));
    await ended;
    await vi.waitFor(() => expect(loading()).toBe(""), { timeout: 60_000, interval: 500 });
    expect(store()).toBe(before);
    // And while its container is being made, when a signal may be lost.
    for (const after of [0, 150, 300, 450, 600]) {
      const early = new AbortController();
      const importing = importBackup(platform.stack, file, { trustsOwners: false, signal: early.signal });
      setTimeout(() => early.abort(new Error("stopped")), after);
      await expect(importing).rejects.toThrow("stopped");
      await vi.waitFor(() => expect(loading()).toBe(""), { timeout: 60_000, interval: 500 });
    }
    expect(store()).toBe(before);
  });
});

describe("a service's code", () => {
  const hostile = async (owner: string, ...statements: readonly string[]) => {
    const session = await cluster.login("primary", owner);
    for (const statement of statements) await session.query(statement);
    await session.end();
  };
  /** Copies and changes what it sees of another service, and harms nothing where it sees nothing. */
  const loot = (code: string) => `
    CREATE TABLE ${code}_loot (t text);
    CREATE FUNCTION ${code}.trap(n int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE 'INSERT INTO ${code}.${code}_loot SELECT r::text FROM ag.ag_results r';
      EXECUTE 'UPDATE ag.ag_results SET secret = ''balance 999999'' WHERE id = 2';
      RETURN true;
    EXCEPTION WHEN OTHERS THEN RETURN true; END $$;
    CREATE TABLE ${code}_trap (n int CHECK (${code}.trap(n)));
    INSERT INTO ${code}_trap VALUES (1)`;
  const ofTrap = (code: string) => `DROP TABLE ${code}_trap, ${code}_loot; DROP FUNCTION ${code}.trap`;
  beforeAll(() =>
    hostile(
      "agown",
      "CREATE TABLE ag_results (id int PRIMARY KEY, secret text)",
      "INSERT INTO ag_results VALUES (1, 'of the aggregator'), (2, 'balance 100')",
    ),
  );

  it("sees and changes nothing of another service's, whichever is loaded first", async () => {
    await hostile("gtown", loot("gt"));
    await hostile("scown", loot("sc"));
    const id = idIn(await imported(write("loot.sql", ...dumpCommand)));
    await hostile("gtown", ofTrap("gt"));
    await hostile("scown", ofTrap("sc"));
    expect(agent.list().backups.find((one) => one.id === id)?.logical?.services).toEqual(["gt", "ag", "sc"]);
    expect(rowsOf(id, "ag_results")).toEqual(["1\tof the aggregator", "2\tbalance 100"]);
    expect(rowsOf(id, "gt_trap")).toEqual(["1"]);
    expect(rowsOf(id, "gt_loot")).toEqual([]);
    expect(rowsOf(id, "sc_loot")).toEqual([]);
  });

  it("that is written into pg_dump's text is refused, would run as another's owner, and in pg_dump's own format does not", async () => {
    const forgedEntry = (name: string, type: string, of: string) =>
      `;\n\n--\n-- Name: ${name}; Type: ${type}; Schema: ${of}; Owner: ${of}own\n--\n\n`;
    const field = [
      "year FROM now()) > (0)::numeric))",
      `${forgedEntry("ag_results t", "TRIGGER", "ag")}UPDATE ag.ag_results SET secret = 'changed'`,
      `${forgedEntry("gt_text q", "POLICY", "gt")}CREATE POLICY q ON gt.gt_text USING ((EXTRACT(year`,
    ].join("");
    // Past the guard, which refuses it.
    inDatabase(`SET session_replication_role = replica; SET ROLE gtown; CREATE TABLE gt.gt_text (id int);
      CREATE POLICY p ON gt.gt_text USING (extract('${field.replaceAll("'", "''")}' FROM now()) > 0)`);
    const [file, archive] = [write("text.sql", ...dumpCommand), write("text.dump", ...dumpCommand, "-Fc")];
    inDatabase("SET session_replication_role = replica; DROP TABLE gt.gt_text");
    const before = store();
    await expect(imported(file)).rejects.toThrow(
      /is not imported: it has EXTRACT in POLICY gt\.gt_text p, .*\(-Fc\), .* --trust-owners/,
    );
    expect(store()).toBe(before);
    const [trusted, custom] = [await imported(file, true), await imported(archive)];
    expect(rowsOf(idIn(trusted), "ag_results")).toEqual(["1\tchanged", "2\tchanged"]);
    expect(trusted).toContain("cannot be verified: that every statement is of the service it is said to be of");
    expect(rowsOf(idIn(custom), "ag_results")).toEqual(["1\tof the aggregator", "2\tbalance 100"]);
    expect(custom).not.toContain("that every statement");
    expect(custom).toMatch(/it has no gt: .*permission denied for schema ag/);
  });

  it("that pg_dump reads as the value of a sequence, and writes as it is, is refused, and would run as another's owner", async () => {
    const entry = (name: string, type: string, of: string) =>
      `\n--\n-- Name: ${name}; Type: ${type}; Schema: ${of}; Owner: ${of}own\n--\n\n`;
    const value = `1, true);\n${entry("ag_results t", "TRIGGER", "ag")}UPDATE ag.ag_results SET secret = 'changed';
      ${entry("gt_s", "SEQUENCE SET", "gt")}SELECT pg_catalog.setval('gt.gt_s', 1`;
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE TABLE gt_held (); CREATE SEQUENCE gt_s");
    const holder = await cluster.login("primary", "gtown");
    await holder.query("BEGIN; LOCK TABLE gt_held");
    const file = join(folder, "value.sql");
    const dumping = execa("docker", ["exec", cluster.names.primary.container, ...dumpCommand], { stdout: { file } });
    const waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'";
    await waitFor(() => cluster.ask("primary", waiting) === "1");
    // Rows that REFRESH writes are seen by older snapshots too.
    await owner.query(`DROP SEQUENCE gt_s; CREATE MATERIALIZED VIEW gt_s AS SELECT '${value.replaceAll("'", "''")}' AS last_value, true AS is_called;
      REFRESH MATERIALIZED VIEW gt_s`);
    await holder.end();
    await dumping;
    await owner.query("DROP MATERIALIZED VIEW gt_s; DROP TABLE gt_held");
    await owner.end();
    await expect(imported(file)).rejects.toThrow(
      /is not imported: SEQUENCE SET gt\.gt_s is not as pg_dump writes it, .*\(-Fc\), .* --trust-owners/,
    );
    expect(rowsOf(idIn(await imported(file, true)), "ag_results")).toEqual(["1\tchanged", "2\tchanged"]);
  });

  it("that is false there, or never ends, keeps nobody else from the import, and is named", async () => {
    await hostile(
      "gtown",
      `CREATE FUNCTION gt.trap(n int) RETURNS bool LANGUAGE sql AS $$ SELECT session_user = 'gtown' $$`,
      "CREATE TABLE gt_trap (n int CHECK (gt.trap(n))); INSERT INTO gt_trap VALUES (1)",
    );
    await hostile(
      "scown",
      `CREATE FUNCTION sc.trap(n int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
         IF session_user <> 'scown' THEN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END IF;
         RETURN true; END $$`,
      "CREATE TABLE sc_trap (n int CHECK (sc.trap(n))); INSERT INTO sc_trap VALUES (1)",
    );
    const said = await within(0.3, () => imported(write("false.sql", ...dumpCommand)));
    expect(said).toMatch(/tables with \d+ rows, of ag; it is pinned/);
    expect(said).toContain(
      'it has no gt: its SQL fails: new row for relation "gt_trap" violates check constraint "gt_trap_n_check"',
    );
    expect(said).toContain("it has no sc: it takes more than 0.3 minutes\n");
    const found = agent.list().backups.find(({ id }) => id === idIn(said))?.logical;
    expect(found?.services).toEqual(["ag"]);
    expect(Object.keys(found?.counts ?? {})).toEqual(["ag"]);
    expect(() => choose(agent.list().backups, cluster.plan, { id: idIn(said), service: "gt" })).toThrow("gt_trap");
    expect(rowsOf(idIn(said), "ag_results")).toEqual(["1\tof the aggregator", "2\tbalance 100"]);
  });

  it("that ends the server leaves the others to another one", async () => {
    // What is in it of gt is false still.
    const importing = imported(join(folder, "false.sql"));
    // By hand, as a crash in its own process would.
    const crash = `for one in /proc/[0-9]*; do if tr '\\0' ' ' < $one/cmdline 2> /dev/null | grep -q '^postgres: scown_restore'
                     then kill -KILL "\${one#/proc/}" && echo done; fi; done`;
    await vi.waitFor(() => expect(inside(crash).stdout).toBe("done\n"), { timeout: 60_000, interval: 500 });
    const said = await importing;
    expect(said).toMatch(/tables with \d+ rows, of ag; it is pinned/);
    expect(said).toContain("it has no gt: its SQL fails: new row for relation");
    expect(said).toMatch(/it has no sc: sc ends the server: /);
    await hostile("gtown", "DROP TABLE gt_trap");
    await hostile("scown", "DROP TABLE sc_trap");
  });
});
