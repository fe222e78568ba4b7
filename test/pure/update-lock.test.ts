import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { refuseWhileUpdating, removeStaleLocks } from "../../ops/lifecycle/update-lock";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const env = () => ({ PULUMI_BACKEND_URL: `file://${folder}` });

/** As pulumi's file backend writes it. */
function lock(name: string, pid: number, host = hostname()): string {
  const locks = join(folder, ".pulumi", "locks", "organization", "centraldb", "dev");
  mkdirSync(locks, { recursive: true });
  const file = join(locks, `${name}.json`);
  writeFileSync(file, JSON.stringify({ pid, username: "kim", hostname: host, timestamp: "2026-11-24T09:00:00Z" }));
  writeFileSync(`${file}.attrs`, "{}");
  return file;
}

/** A process number that nobody has any more. */
const gone = () => spawnSync("true").pid;

it("a stack without locks, or with another backend, is free", () => {
  refuseWhileUpdating("dev", env());
  refuseWhileUpdating("dev", { PULUMI_BACKEND_URL: "s3://bucket" });
  refuseWhileUpdating("dev", {});
  expect(removeStaleLocks("dev", env())).toBe(0);
});

it("the lock of a process that is gone is removed, with its attributes, and no other", () => {
  const stale = lock("stale", gone());
  const elsewhere = lock("elsewhere", gone(), "another-machine");
  expect(removeStaleLocks("dev", env())).toBe(1);
  expect([stale, `${stale}.attrs`, elsewhere, `${elsewhere}.attrs`].map((file) => existsSync(file))).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

it("the lock of another program that has the number by now is stale", () => {
  lock("reused", process.pid);
  refuseWhileUpdating("dev", env());
  expect(removeStaleLocks("dev", env())).toBe(1);
});

it("a pulumi that lives, and another machine's, refuse a second update with who and since when", async () => {
  const program = join(folder, "pulumi");
  copyFileSync("/bin/sleep", program);
  const pulumi = spawn(program, ["60"], { stdio: "ignore" });
  await new Promise((resolve) => pulumi.once("spawn", resolve));
  try {
    lock("alive", pulumi.pid ?? 0);
    expect(removeStaleLocks("dev", env())).toBe(0);
    expect(() => refuseWhileUpdating("dev", env())).toThrow(
      `another update of stack dev is under way, of kim on ${hostname()} since 2026-11-24T09:00:00Z (process ${pulumi.pid})`,
    );
  } finally {
    pulumi.kill("SIGKILL");
  }
  lock("elsewhere", gone(), "another-machine");
  expect(() => refuseWhileUpdating("dev", env())).toThrow("another update of stack dev is under way");
});
