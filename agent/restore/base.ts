import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
export function unpackedBytes({ folder }: Pick<Stored, "folder">): number {
  const { Files } = JSON.parse(readFileSync(join(folder, baseManifestFile), "utf8")) as {
    readonly Files: readonly { readonly Size: number }[];
  };
  return Files.reduce((sum, { Size }) => sum + Size, 0);
}
