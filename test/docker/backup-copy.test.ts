import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { handOverState, type BackupList } from "../../ops/backup";
import { services } from "../../services/registry";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { run } from "../support/run";
import { buildStandInRcloneImage, standInRcloneImage } from "../support/stand-in-image";

// The second copy, with a real rclone: to a folder of the engine's machine, and to a remote that is encrypted.
let cluster: TestCluster;
let folder: string;
beforeAll(async () => {
  buildStandInRcloneImage();
  folder = mkdtempSync(join(tmpdir(), "centraldb-copy-"));
  chmodSync(folder, 0o777);
  cluster = await prepareCluster(services.slice(0, 2), { withBackup: true });
  const { status, output } = await cluster.up({ backupRcloneImage: standInRcloneImage, backupCopy: folder });
  expect(status, output).toBe(0);
});
afterAll(() => {
  cluster.clean();
  rmSync(folder, { recursive: true });
});

const container = () => cluster.names.backup.container;
const inside = (...command: string[]) => run("docker", ["exec", container(), ...command]);
const agent = (...args: string[]) => inside("node", "/usr/local/lib/centraldb/agent.cjs", ...args);
const list = () => JSON.parse(agent("list").stdout) as BackupList;
const isComplete = () => {
  const { copy, backups } = list();
  return (
    typeof copy?.completeAt === "string" && copy.failed === null && backups.every(({ id }) => copy.backups.includes(id))
  );
};
/** Files below a folder, by path in it, with what is in them. */
const sums = (...where: readonly string[]) =>
  run("docker", ["exec", container(), "sh", "-c", `cd "$1" && find . -type f | sort | xargs sha256sum`, "sh", ...where])
    .stdout;

describe("a folder", () => {
  it("has every backup, the WAL and the stack's state, byte for byte", async () => {
    await waitFor(() => list().backups.length === 2, 60);
    handOverState({ name: "dev", settings: cluster.settings, dockerHost: undefined }, '{"version": 3}');
    cluster.ask("primary", "SELECT pg_switch_wal()");
    await waitFor(() => isComplete() && sums("/backups/state") === sums("/copy/state"), 150);
    expect(sums("/copy/backups")).toBe(sums("/backups/backups"));
    expect(sums("/copy/backups").split("\n").length).toBeGreaterThan(6);
    const segments = (where: string) =>
      sums(where)
        .split("\n")
        .filter((line) => line.endsWith(".gz"));
    await waitFor(() => segments("/copy/wal").length > 0, 150);
    await waitFor(() => segments("/copy/wal").join() === segments("/backups/wal").join(), 150);
    // Verifiers of passwords are in it.
    expect(inside("find", "/backups/backups", "/copy/backups", "-type", "f", "-perm", "/077").stdout).toBe("");
    expect(readdirSync(folder).sort()).toEqual([".centraldb-copy", "backups", "state", "wal"]);
  });

  it("that cannot be written fails the copy, not the backup; it is complete again by itself", async () => {
    execFileSync("chmod", ["-R", "a-w", folder]);
    try {
      expect(agent("now", "logical").output).toContain("is proven");
      await waitFor(() => typeof list().copy?.failed?.why === "string", 150);
      expect(list().copy?.failed?.why).toMatch(/permission denied|not permitted/);
      expect(list().copy?.backups).toHaveLength(2);
      expect(agent("health").status).toBe(0);
    } finally {
      execFileSync("chmod", ["-R", "a+w", folder]);
    }
    await waitFor(isComplete, 150);
    expect(sums("/copy/backups")).toBe(sums("/backups/backups"));
  });
});

describe("an encrypted remote", () => {
  it("has everything, and nobody can read it, names neither, without its password", async () => {
    const password = execFileSync("rclone", ["obscure", "of this test"], { encoding: "utf8" }).trim();
    const config = `[vault]\ntype = crypt\nremote = /tmp/vault\npassword = ${password}\n`;
    const { status, output } = await cluster.up({ backupCopy: "vault:", backupCopyConfig: config });
    expect(status, output).toBe(0);
    await waitFor(() => list().copy?.to === "vault:" && isComplete(), 150);
    const [newest] = list().backups.slice(-1);
    const names = inside("find", "/tmp/vault").stdout;
    expect(names.split("\n").length).toBeGreaterThan(10);
    for (const name of ["backups", newest?.id ?? "", "manifest"]) expect(names).not.toContain(name);
    expect(inside("grep", "-rlE", "PGDMP|registrySha256", "/tmp/vault").stdout).toBe("");
    const shown = inside(
      "rclone",
      "--config=/backups/rclone.conf",
      "cat",
      `vault:backups/${newest?.id ?? ""}/manifest.json`,
    );
    expect(JSON.parse(shown.stdout)).toMatchObject({ id: newest?.id });
    expect(inside("stat", "-c", "%a", "/backups/rclone.conf").stdout.trim()).toBe("600");
    expect(run("docker", ["logs", container()]).output).not.toContain(password);
  });
});
