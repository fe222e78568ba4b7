import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { superuserRole } from "../../components/access/plan-items";
import { importBackup } from "../../ops/backup-import";
import type { Platform } from "../../ops/restore/platform";
import { restoreBeside } from "../../ops/restore/restore";
import { steps } from "../../ops/restore/steps";
import { choose } from "../../ops/restore/wanted";
import { services } from "../../services/registry";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { furnish } from "../support/furnish";
import { fakePassword } from "../support/mocks";
import { run } from "../support/run";

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
  // Without what only its owner may load: this is a server where nobody else is asked.
  await owner.query(`${furnish}; DROP TABLE gt_mine`).finally(() => owner.end());
  await agent.hasBegun();
  source = text("appdb");
  folder = mkdtempSync(join(tmpdir(), "centraldb-import-"));
  const { passwords, ...target } = cluster.target("primary");
  platform = {
    stack: { name: "dev", settings: cluster.settings, dockerHost: undefined },
    plan: cluster.plan,
    logins: { ...target, passwords: new Map([...passwords, [superuserRole, fakePassword("postgres-password")]]) },
  };
});
afterAll(() => {
  cluster.clean();
  rmSync(folder, { recursive: true, force: true });
});

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
async function imported(file: string): Promise<string> {
  let said = "";
  const written = vi.spyOn(process.stdout, "write").mockImplementation((words) => {
    said += String(words);
    return true;
  });
  await importBackup(platform.stack, file, new AbortController().signal).finally(() => written.mockRestore());
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

const idIn = (said: string) => /\d{8}T\d{6}Z-imported/.exec(said)?.[0] ?? said;
const store = () => agent.shell("ls /backups/backups");
const leftovers = () => run("docker", ["ps", "--all", "--quiet", "--filter", "ancestor=" + image()]).stdout.trim();
const image = () => run("docker", ["inspect", "--format", "{{.Image}}", cluster.names.backup.container]).stdout.trim();

describe("a file of the page's commands", () => {
  it("of pg_dump's becomes a backup that is restored like another, and says what nobody can know", async () => {
    const said = await imported(write("backup_20261127.sql", ...dumpCommand));
    expect(said).toMatch(/tables with 11\d\d rows, of gt, ag, sc; it is pinned/);
    expect(said).toContain("cannot be verified: that its rows are those the database had: SQL has no checksums");
    const found = agent.list().backups.find(({ id }) => id === idIn(said));
    expect(found?.imported?.name).toBe("backup_20261127.sql");
    expect(found?.imported?.sha256).toBe(
      execFileSync("sha256sum", [join(folder, "backup_20261127.sql")], { encoding: "utf8" }).slice(0, 64),
    );
    expect(agent.run("verify", idIn(said)).status).toBe(0);
    expect(await restored(idIn(said), "appdb_restored_20261127t000001")).toEqual(source);
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
    const foreign = 'CREATE TABLE public.old (); ALTER TABLE public.old OWNER TO "someone";\n';
    writeFileSync(file, gzipSync(sql.replace("SET row_security = off;", (line) => `${line}\n${foreign}`)));
    const said = await imported(file);
    expect(said).toContain("it has no ag: it is not in the file");
    expect(said).toContain("cannot be verified: tables of no service, which no restore takes: old");
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
      "one whose SQL fails",
      () => sql().replace("CREATE TABLE gt.gt_part ", "CREATE TABLE gt.gt_part gt_part "),
      "syntax error",
    ],
    [
      "one without a service",
      () => "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n",
      "no schema of a service",
    ],
    ["a picture", () => Buffer.alloc(5000, 7), "neither pg_dump's SQL nor pg_basebackup's tar"],
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

describe("what runs in it", () => {
  it("reaches neither network, backups nor passwords", async () => {
    const spy = `\\! (cat /proc/net/dev | grep -c eth; ls /backups; ls /etc/centraldb; ls /var/run/docker.sock) > /tmp/found 2>&1
CREATE TABLE gt.gt_found (line text);
\\copy gt.gt_found FROM PROGRAM 'cat /tmp/found'
`;
    const sql = readFileSync(join(folder, "backup_20261127.sql"), "utf8").replaceAll(/^\\(un)?restrict .*$/gm, "");
    const file = join(folder, "spy.sql");
    writeFileSync(
      file,
      sql.replace("-- PostgreSQL database dump complete", (end) => `${spy}${end}`),
    );
    const id = idIn(await imported(file));
    const rows = agent
      .shell(`pg_restore --data-only --table=gt_found --file=- /backups/backups/${id}/appdb.dump`)
      .split("\n");
    expect(rows).toContain("0");
    expect(rows.join("\n")).toMatch(/\/etc\/centraldb.*No such file/);
    expect(rows.join("\n")).toMatch(/docker\.sock.*No such file/);
  });

  it("is gone when it is interrupted, with its container and what it had made", async () => {
    const stop = new AbortController();
    const before = store();
    const file = join(folder, "slow.sql");
    writeFileSync(file, "-- PostgreSQL database dump\nSELECT pg_sleep(600);\n-- PostgreSQL database dump complete\n");
    const running = importBackup(platform.stack, file, stop.signal);
    const ended = expect(running).rejects.toThrow("stopped");
    await vi.waitFor(() => expect(leftovers().split("\n").length).toBe(2), { timeout: 30_000 });
    stop.abort(new Error("stopped"));
    await ended;
    await vi.waitFor(() => expect(leftovers().split("\n").length).toBe(1), { timeout: 60_000, interval: 500 });
    expect(store()).toBe(before);
  });
});
