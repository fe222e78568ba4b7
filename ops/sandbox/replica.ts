import { spawnSync } from "node:child_process";
import { chownSync, existsSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replicationRole } from "../../components/access/plan-items";
import { OperatorError } from "../operator-error";
import { apart } from "./embedded-server";

/** The slot on the primary that keeps the WAL the replica still needs. */
export const replicaSlot = "replica";

/** Whether `dataDir` is the data of a standby; one that somebody promoted is none any more. */
export function isStandby(dataDir: string): boolean {
  return existsSync(join(dataDir, "PG_VERSION")) && existsSync(join(dataDir, "standby.signal"));
}

/**
 * Copies the data directory of a primary that was stopped cleanly (the embedded server has no pg_basebackup) and makes
 * it a standby's. What was at `replicaData` is deleted.
 */
export function copyAsStandby(primaryData: string, replicaData: string): void {
  // Under another name until it is whole: a copy that was killed is never taken for data.
  const unfinished = `${replicaData}.unfinished`;
  for (const folder of [unfinished, replicaData]) rmSync(folder, { recursive: true, force: true });
  const { status, stderr } = spawnSync("cp", ["-a", primaryData, unfinished], { ...apart, encoding: "utf8" });
  if (status !== 0) throw new OperatorError(`the replica cannot be copied: ${stderr.trim()}`);
  writeOwned(join(unfinished, "standby.signal"), "", primaryData);
  renameSync(unfinished, replicaData);
}

/** Writes the password file of a standby of the server on `primaryPort`, for it is not to stand in a process list; its settings. */
export function prepareStandby(
  passwordFile: string,
  password: string,
  primaryPort: number,
  replicaData: string,
): Readonly<Record<string, string>> {
  writeOwned(passwordFile, `127.0.0.1:${primaryPort}:*:${replicationRole}:${password}\n`, replicaData);
  const where = `host=127.0.0.1 port=${primaryPort} user=${replicationRole} application_name=replica`;
  return {
    primary_conninfo: `${where} passfile=${quoteInConninfo(passwordFile)}`,
    primary_slot_name: replicaSlot,
  };
}

/** A value of a connection string as libpq reads it. */
export function quoteInConninfo(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** Readable by the owner of `likeWhose` only, which is the server's user. */
function writeOwned(file: string, text: string, likeWhose: string): void {
  rmSync(file, { force: true });
  writeFileSync(file, text, { mode: 0o600 });
  const { uid, gid } = statSync(likeWhose);
  if (process.getuid?.() === 0) chownSync(file, uid, gid);
}
