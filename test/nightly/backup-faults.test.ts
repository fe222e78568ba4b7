import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../services/registry";
import { backupAgent, holdDump, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { run } from "../support/run";
import { completeSegments } from "../support/wal";

// One stack whose backups are broken in many ways. After each: what failed is no backup, what was good before is untouched,
// and the agent goes on by itself. Its store is small, and fills within a moment.
const storeMiB = 320;
let cluster: TestCluster;
let agent: BackupAgent;

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 2), { withBackup: true });
  agent = backupAgent(cluster);
  // The program's own volume has the engine's disk; it finds this one under its name. 999: postgres in the image.
  const tmpfs = ["type=tmpfs", "device=tmpfs", `o=size=${storeMiB}m,uid=999,gid=999,mode=0700`];
  docker("volume", "create", ...tmpfs.flatMap((option) => ["--opt", option]), cluster.names.backup.volume);
  expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
  await agent.hasBegun();
  const owner = await cluster.login("primary", "gtown");
  // What gzip cannot make small: a dump of it is some MiB.
  await owner.query(`CREATE MATERIALIZED VIEW gt_held AS SELECT 1 AS one; CREATE TABLE gt_raw_data AS SELECT i AS id,
    (SELECT string_agg(md5(i::text || '/' || j), '') FROM generate_series(1, 64) j) AS payload FROM generate_series(1, 8000) i`);
  await owner.end();
});
afterAll(() => cluster.clean());

function docker(...args: string[]): string {
  const { status, stdout, output } = run("docker", args);
  if (status !== 0) throw new Error(output);
  return stdout.trim();
}

/** What `now` says of a run that must fail, without the progress before it. */
function failure({ status, stdout }: { readonly status: number | null; readonly stdout: string }): string {
  expect(status, stdout).toBe(1);
  return stdout.trim().split("\n").at(-1) ?? "";
}

const now = (kind: string) => agent.run("now", kind);
const holdPgDump = () => holdDump(cluster, agent, "gtown", "ALTER MATERIALIZED VIEW gt_held RENAME TO gt_other");

describe("a server that is killed in the middle of a dump", () => {
  it("leaves no backup and no folder, and the next run succeeds", async () => {
    const before = agent.list();
    const { ended, release } = await holdPgDump();
    expect(agent.shell("ls /backups/backups")).toContain("logical.partial");
    docker("kill", cluster.names.primary.container);
    expect(failure(await ended)).toMatch(
      /^logical backup failed: pg_dump: exit status 1: .*(EOF detected|connection|terminated)/,
    );
    await release();
    expect(failure(now("logical"))).toMatch(/^logical backup failed: no primary answers: /);
    docker("start", cluster.names.primary.container);
    await agent.goesOnWith(before);
    expect(now("logical")).toMatchObject({ status: 0 });
  });
});

describe("a password that is not the server's", () => {
  it.each([
    ["app", "logical", 'no primary answers: .*: password authentication failed for user "app"'],
    ["repl", "physical", 'pg_basebackup: exit status 1: .*password authentication failed for user "repl"'],
  ])(
    "of %s fails a run with the server's words, and nothing is restarted when it is right again",
    async (role, kind, words) => {
      const before = agent.list();
      const verifier = cluster.ask("primary", `SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`);
      cluster.ask("primary", `ALTER ROLE ${role} PASSWORD 'another'`);
      await cluster.caughtUp("primary");
      expect(failure(now(kind))).toMatch(new RegExp(`^${kind} backup failed: ${words}`));
      cluster.ask("primary", `ALTER ROLE ${role} PASSWORD '${verifier}'`);
      await cluster.caughtUp("primary");
      await agent.goesOnWith(before);
      expect(now(kind)).toMatchObject({ status: 0 });
    },
  );
});

describe("a store without space", () => {
  const freeMiB = () => Number(agent.shell("df --output=avail -m /backups | tail -n 1"));
  /** Takes all but so much, once what WAL will give back is given back: a segment that is compressed. */
  const fill = async (leftMiB: number) => {
    await waitFor(() =>
      agent
        .shell("ls /backups/wal/*")
        .split("\n")
        .every((name) => !/^[0-9A-F]{24}$/.test(name)),
    );
    agent.shell(`fallocate -l ${freeMiB() - leftMiB}M /backups/filler`);
  };
  const empty = () => agent.shell("rm -f /backups/filler");
  afterEach(empty);

  it("is seen before a backup begins", async () => {
    const before = agent.list();
    await fill(20);
    for (const kind of ["logical", "physical"]) {
      expect(failure(now(kind))).toMatch(
        new RegExp(`^${kind} backup failed: \\d\\d MiB are free in the store, and \\d+ MiB may be needed$`),
      );
    }
    empty();
    await agent.goesOnWith(before);
  });

  it("that is filled while a dump is written fails it, and stops WAL only until there is space again", async () => {
    const before = agent.list();
    const { ended, release } = await holdPgDump();
    // Enough for no dump of this table, nor for a segment of WAL, which has its 16 MiB from its begin.
    await fill(2);
    await release();
    expect(failure(await ended)).toMatch(/^logical backup failed: pg_dump: exit status 1: .*No space left on device/);
    completeSegments(cluster, "primary", 1);
    await waitFor(() => /no WAL is received: pg_receivewal: .*No space left on device/.test(agent.log()));
    empty();
    await agent.goesOnWith(before);
    expect(now("logical")).toMatchObject({ status: 0 });
    // No gap, and no new stretch because of it.
    expect(agent.list().wal).toHaveLength(1);
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });
});

describe("a file that is not what it was", () => {
  const flip = (file: string) =>
    agent.shell(
      `node -e 'const fs = require("fs"), bytes = fs.readFileSync("${file}"); bytes[bytes.length >> 1] ^= 1; fs.writeFileSync("${file}", bytes)'`,
    );
  const truncate = (file: string) => agent.shell(`truncate -s -1 ${file}`);
  const remove = (file: string) => agent.shell(`rm ${file}`);
  /** Harms `file`, verifies, and puts it back; what `verify` printed. */
  const verifyWith = (harm: (file: string) => string, file: string): string => {
    agent.shell(`cp -p ${file} /tmp/whole`);
    harm(file);
    const { status, stdout } = agent.run("verify");
    agent.shell(`cp -p /tmp/whole ${file}`);
    expect(status, stdout).toBe(1);
    return stdout.trim();
  };
  const newest = (kind: string) => agent.list().backups.findLast((backup) => backup.kind === kind)?.id ?? "";

  it.each([
    ["logical", "appdb.dump", flip, /^appdb\.dump was changed$/],
    ["logical", "globals.sql", truncate, /^globals\.sql has \d+ bytes of \d+$/],
    ["physical", "base.tar.gz", flip, /^base\.tar\.gz was changed$/],
    ["physical", "pg_wal.tar.gz", truncate, /^pg_wal\.tar\.gz has \d+ bytes of \d+$/],
    ["physical", "backup_manifest", remove, /^backup_manifest is missing$/],
  ])("is named where it is of a %s backup: %s", (kind, name, harm, words) => {
    const id = newest(kind);
    const said = verifyWith(harm, `/backups/backups/${id}/${name}`);
    expect(said.startsWith(`${id}: `), said).toBe(true);
    expect(said.slice(id.length + 2)).toMatch(words);
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });

  it.each([
    ["with a flipped byte", flip, ": (incorrect|invalid) [^\n]+"],
    ["that was truncated", truncate, ": unexpected end of file"],
    ["that is missing", remove, " is missing"],
  ])("is named where it is a segment of WAL %s", async (_, harm, words) => {
    const compressed = () => agent.shell("ls /backups/wal/*/*.gz").split("\n");
    if (compressed().length < 3) completeSegments(cluster, "primary", 3);
    await waitFor(() => compressed().length >= 3);
    const file = compressed().at(-2) ?? "";
    const segment = /([0-9A-F]{24})\.gz$/.exec(file)?.[1] ?? "no segment";
    expect(verifyWith(harm, file)).toMatch(new RegExp(`^${segment}${words}$`));
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });

  it.each([
    ["is missing", remove, /no such file/],
    ["is no JSON", (file: string) => agent.shell(`truncate -s -9 ${file}`), /JSON/],
    [
      "is another's",
      (file: string) => agent.shell(`sed -i 's/"id": "2/"id": "1/' ${file}`),
      /^its manifest is another's$/,
    ],
  ])("is no backup where its manifest %s", async (_, harm, why) => {
    expect(now("logical")).toMatchObject({ status: 0 });
    const before = agent.list();
    const id = newest("logical");
    const file = `/backups/backups/${id}/manifest.json`;
    agent.shell(`cp -p ${file} /tmp/manifest`);
    harm(file);
    const { backups, broken } = agent.list();
    const { status, stdout } = agent.run("verify");
    agent.shell(`cp -p /tmp/manifest ${file}`);
    expect(backups).toEqual(before.backups.filter((backup) => backup.id !== id));
    expect(broken).toEqual([{ id, why: expect.stringMatching(why) as string }]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: `${id}: ${broken[0]?.why ?? ""}\n` });
    await agent.goesOnWith(before);
  });
});

describe("a store that was lost", () => {
  it("is begun again by up", async () => {
    docker("rm", "--force", agent.container);
    docker("volume", "rm", cluster.names.backup.volume);
    cluster.forget("backup-volume", "backup-container");
    expect(await cluster.up()).toMatchObject({ status: 0, output: "" });
    await agent.hasBegun();
    await agent.goesOnWith(agent.list());
    expect(agent.run("verify")).toMatchObject({ status: 0 });
  });
});
