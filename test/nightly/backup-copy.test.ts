import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AgentSettings } from "../../agent/settings";
import { rcloneConfigFile } from "../../components/backup/agent-file";
import { handOverState } from "../../ops/backup/list";
import { services } from "../../services/registry";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { run } from "../support/run";
import { buildStandInRcloneImage, standInRcloneImage } from "../support/stand-in-image";

// The second copy, with a real rclone: to a folder of the engine's machine, and to a remote that is encrypted.
let cluster: TestCluster;
let agent: BackupAgent;
let folder: string;
beforeAll(async () => {
  buildStandInRcloneImage();
  folder = newFolder();
  chmodSync(folder, 0o777);
  cluster = await prepareCluster(services.slice(0, 2), { withBackup: true });
  agent = backupAgent(cluster);
  const { status, output } = await cluster.up({ backupRcloneImage: standInRcloneImage, backupCopy: folder });
  expect(status, output).toBe(0);
});
afterAll(() => {
  cluster.clean();
  rmSync(folder, { recursive: true });
});

const newFolder = () => mkdtempSync(join(tmpdir(), "centraldb-copy-"));
const copied = () => agent.list().copy?.backups ?? [];
/** By the agent's own word: all that was finished has been copied since, and nothing else is there. */
const isComplete = () => {
  const { copy, backups } = agent.list();
  const ids = backups.map(({ id }) => id).join();
  const since = copy?.completeAt ?? "";
  return (
    copy?.failed === null && copy.backups.toSorted().join() === ids && backups.every((one) => one.finishedAt < since)
  );
};
/** Every file below a folder of the container with its SHA-256, but for the segment that grows. */
const sums = (where: string) =>
  agent.shell(`cd ${where}; find backups wal state -type f ! -path '*.partial*' | sort | xargs sha256sum`);
/** Asserts that the copy has everything, byte for byte, and nothing else, or soon will. */
async function copyIsWhole(): Promise<void> {
  await waitFor(() => isComplete() && sums("/copy") === sums("/backups"), 90).catch(() => undefined);
  expect(agent.list().copy?.failed).toBeNull();
  expect(sums("/copy")).toBe(sums("/backups"));
  expect(copied().toSorted()).toEqual(agent.list().backups.map(({ id }) => id));
}
/** Makes a backup; its id. */
function dumped(): string {
  const { output } = agent.run("now", "logical");
  const [, id = output] = /(\S+) is proven/.exec(output) ?? [];
  expect(id).toMatch(/^\S+$/);
  return id;
}
/** What is in a folder, into another; its mark is the first that goes, or the last that comes. */
function moveContents(from: string, to: string, names = readdirSync(from).sort()): void {
  for (const name of names) renameSync(join(from, name), join(to, name));
}

describe("a folder", () => {
  it("has every backup, the WAL and the stack's state, byte for byte", async () => {
    await agent.hasBegun();
    handOverState({ name: "dev", settings: cluster.settings, dockerHost: undefined }, '{"version": 3}');
    const filled = "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'test', 'of a segment')";
    cluster.ask("primary", filled);
    cluster.ask("primary", filled);
    await waitFor(() => sums("/backups").includes(".gz"));
    await copyIsWhole();
    for (const kind of [/-logical\/manifest/, /-physical\/manifest/, /wal\/\S+\.gz/, /state\/dev\.json/]) {
      expect(sums("/copy")).toMatch(kind);
    }
    // Verifiers of passwords are in it.
    expect(agent.shell("find /backups/backups /copy/backups -type f -perm /077")).toBe("");
    expect(readdirSync(folder).sort()).toEqual([".centraldb-copy", "backups", "state", "wal"]);
  });

  it("that cannot be written fails the copy, not the backup; it is complete again by itself", async () => {
    execFileSync("chmod", ["-R", "a-w", folder]);
    try {
      dumped();
      await waitFor(() => typeof agent.list().copy?.failed?.why === "string");
      expect(agent.list().copy?.failed?.why).toMatch(/permission denied|not permitted/);
      expect(copied()).toHaveLength(2);
      expect(agent.isHealthy()).toBe(true);
    } finally {
      execFileSync("chmod", ["-R", "a+w", folder]);
    }
    await copyIsWhole();
  });

  it("has no more what retention deletes here, and everything else", async () => {
    const first = agent.list().backups.slice(0, 2);
    const [old, last] = [dumped(), dumped()];
    await copyIsWhole();
    const before = sums("/copy").split("\n");
    const { retentionDays, ...settings } = JSON.parse(agent.shell("cat /backups/settings.json")) as AgentSettings;
    const changed = { ...settings, retentionDays: { ...retentionDays, daily: 1e-9 } };
    agent.shell(`echo '${JSON.stringify(changed)}' > /backups/settings.json`);
    // As a slot that was lost leaves it: WAL of before, which no base backup needs.
    agent.shell("for of in /copy /backups; do cp -a $of/wal/2* $of/wal/20200101T000000000Z; done");
    await waitFor(() => /WAL from 20200101T\S+ to \S+ is deleted/.test(agent.log()));
    const newest = dumped();
    agent.shell(`echo '${JSON.stringify({ ...settings, retentionDays })}' > /backups/settings.json`);
    expect(agent.log()).toContain(`${old} is deleted: older than daily backups are kept`);
    await copyIsWhole();
    // The last two of a class are kept, and what is of another class too.
    const kept = [...first.map(({ id }) => id), last, newest];
    expect(copied().toSorted()).toEqual(kept.toSorted());
    const stays = (line: string) => !line.includes("backups/") || kept.some((id) => line.includes(id));
    expect(sums("/copy").split("\n")).toEqual(expect.arrayContaining(before.filter(stays)));
  });

  it("that is not mounted gets nothing; mounted again it is complete by itself, whatever it lacks", async () => {
    const before = copied();
    const elsewhere = newFolder();
    moveContents(folder, elsewhere);
    try {
      dumped();
      await waitFor(() => typeof agent.list().copy?.failed?.why === "string");
      expect(agent.list().copy?.failed?.why).toContain("the folder is not the one that was copied to");
      expect(copied()).toEqual(before);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
      rmSync(join(elsewhere, "backups", before[0] ?? "", "manifest.json"));
      moveContents(elsewhere, folder, readdirSync(elsewhere).sort().reverse());
      rmSync(elsewhere, { recursive: true });
    }
    await copyIsWhole();
  });

  it("has again what somebody deletes in it, when the agent has looked", async () => {
    agent.shell("rm $(ls /copy/backups/*/*.dump | head -n 1) $(ls /copy/wal/*/*.gz | head -n 1)");
    // It looks once a day, and first when it starts.
    expect(run("docker", ["restart", agent.container]).status).toBe(0);
    await copyIsWhole();
  });
});

describe("an encrypted remote", () => {
  it("has everything, and nobody can read it, names neither, without its password", async () => {
    const password = execFileSync("rclone", ["obscure", "of this test"], { encoding: "utf8" }).trim();
    const config = `[vault]\ntype = crypt\nremote = /tmp/vault\npassword = ${password}\n`;
    const { status, output } = await cluster.up({ backupCopy: "vault:", backupCopyConfig: config });
    expect(status, output).toBe(0);
    await waitFor(() => agent.list().copy?.to === "vault:" && isComplete(), 150);
    const [newest] = agent.list().backups.slice(-1);
    const names = agent.shell("find /tmp/vault");
    expect(names.split("\n").length).toBeGreaterThan(10);
    for (const name of ["backups", newest?.id ?? "", "manifest"]) expect(names).not.toContain(name);
    expect(agent.shell("grep -rlE 'PGDMP|registrySha256' /tmp/vault || test $? = 1")).toBe("");
    const manifest = `vault:backups/${newest?.id ?? ""}/manifest.json`;
    const shown = agent.shell(`rclone --config=${rcloneConfigFile} cat ${manifest}`);
    expect(JSON.parse(shown)).toMatchObject({ id: newest?.id });
    expect(agent.shell(`stat -c %a ${rcloneConfigFile}`)).toBe("600");
    // A drill reads the backups' volume, and runs code of services.
    expect(agent.shell("grep -rlF 'type = crypt' /backups || test $? = 1")).toBe("");
    expect(agent.log()).not.toContain(password);
  });
});
