import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { OperatorError } from "../operator-error";

/** A lock of pulumi's file backend: who updates a stack at this moment, or died doing it. */
interface Lock {
  readonly file: string;
  readonly pid: number;
  readonly hostname: string;
  readonly username: string;
  /** ISO 8601 */
  readonly timestamp: string;
}

/** @throws OperatorError where another update of the stack is under way */
export function refuseWhileUpdating(stack: string, env: NodeJS.ProcessEnv): void {
  const alive = locksOf(stack, env).find(isAlive);
  if (alive === undefined) return;
  throw new OperatorError(
    `another update of stack ${stack} is under way, of ${alive.username} on ${alive.hostname} since ${alive.timestamp} ` +
      `(process ${alive.pid}): wait for it, or end it with Ctrl-C where it runs; pulumi cancel -s ${stack} when that machine is gone`,
  );
}

/**
 * Removes the locks of processes of this machine that are gone: an update that was killed. Not by `pulumi cancel`, which
 * would remove the lock of an update that has begun meanwhile. Returns how many there were.
 */
export function removeStaleLocks(stack: string, env: NodeJS.ProcessEnv): number {
  const stale = locksOf(stack, env).filter((lock) => lock.hostname === hostname() && !isAlive(lock));
  for (const { file } of stale) {
    rmSync(file, { force: true });
    rmSync(`${file}.attrs`, { force: true });
  }
  return stale.length;
}

/** Other backends keep their locks themselves, and pulumi says what it finds there. */
function locksOf(stack: string, env: NodeJS.ProcessEnv): readonly Lock[] {
  const backend = env["PULUMI_BACKEND_URL"] ?? "";
  const root = folderOf(backend);
  const folder = root === undefined ? "" : join(root, ".pulumi", "locks", "organization", "centraldb", stack);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const file = join(folder, name);
      try {
        return [{ ...(JSON.parse(readFileSync(file, "utf8")) as Omit<Lock, "file">), file }];
      } catch {
        return []; // its update has just ended
      }
    });
}

/** The folder of a file backend; of a URL that is none pulumi says what is wrong with it. */
function folderOf(backend: string): string | undefined {
  if (!backend.startsWith("file:///")) return undefined;
  try {
    return fileURLToPath(new URL(backend).href.replace(/\?.*$/, ""));
  } catch {
    return undefined;
  }
}

/** Another machine's process is taken to live. */
function isAlive(lock: Lock): boolean {
  if (lock.hostname !== hostname()) return true;
  try {
    process.kill(lock.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // The number may be another program's by now.
  const name = `/proc/${lock.pid}/comm`;
  return !existsSync(name) || readFileSync(name, "utf8").trim() === "pulumi";
}
