import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readBaseManifest } from "../base-manifest";
import { baseFile, baseManifestFile, baseWalFile } from "../physical";
import type { Stored } from "../store";
import { runTool, type ToolOptions } from "../tool";

/** PostgreSQL's words for how a data directory recovers: to the end of the archive, or as long as there is something to come. */
export type RecoverySignal = "recovery.signal" | "standby.signal";

/** As PostgreSQL's documentation has it: files, WAL, and the word that it is to recover from an archive. */
export async function unpackBase(
  { folder }: Pick<Stored, "folder">,
  data: string,
  signal: RecoverySignal,
  options: ToolOptions,
): Promise<void> {
  await mkdir(join(data, "pg_wal"), { recursive: true, mode: 0o700 });
  await runTool("tar", ["-xzf", join(folder, baseFile), "-C", data], options);
  await runTool("tar", ["-xzf", join(folder, baseWalFile), "-C", join(data, "pg_wal")], options);
  // A base that a standby gave would be one again.
  await rm(join(data, "standby.signal"), { force: true });
  await writeFile(join(data, "postgresql.auto.conf"), "");
  await writeFile(join(data, signal), "");
}

/** Of all its files, as PostgreSQL's own manifest has them. */
export async function unpackedBytes({ folder }: Pick<Stored, "folder">): Promise<number> {
  return (await readBaseManifest(join(folder, baseManifestFile))).bytes;
}

/** A recovery keeps of the WAL what it may need again; beyond that the base grows by what it replays. */
const mostOfWal = 2 * 1024 ** 3;

/** Why a base backup cannot be unpacked and recovered; undefined where there is room. An estimate: 20 % more, and WAL up to 2 GiB. */
export function lacksRoom(base: string, bytes: number, walBytes: number, free: number): string | undefined {
  const needed = bytes * 1.2 + Math.min(walBytes, mostOfWal);
  if (free >= needed) return undefined;
  return `${mib(free)} are free where the node's data are, and ${mib(needed)} may be needed (${base} is ${mib(bytes)} unpacked): make room, then again`;
}

export function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
