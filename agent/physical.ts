import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { readBaseManifest } from "./base-manifest";
import type { Made } from "./logical";
import type { FoundServer } from "./server";
import type { AgentSettings } from "./settings";
import { runTool, type ToolOptions } from "./tool";

export const baseFile = "base.tar.gz";
export const baseWalFile = "pg_wal.tar.gz";
export const baseManifestFile = "backup_manifest";

/** A standby this far behind is no source: what it has is old. */
const maxLagSeconds = 300;

/** The standby where it is healthy: it has nothing else to do at night. Else the primary. */
export function sourceOf(servers: readonly FoundServer[], primary: FoundServer): FoundServer {
  const healthy = servers.find(
    ({ role, lagSeconds, systemIdentifier, timeline }) =>
      role === "standby" &&
      lagSeconds !== null &&
      lagSeconds < maxLagSeconds &&
      systemIdentifier === primary.systemIdentifier &&
      timeline === primary.timeline,
  );
  return healthy ?? primary;
}

/**
 * Copies a server into `folder`, with the WAL it needs to be consistent, and proves it: unpacked, every file is as the server said it
 * was, and the WAL can be read from its start to its end. (pg_verifybackup of 16 does not read tar.)
 * @throws BackupFailure
 */
export async function copyInto(
  folder: string,
  source: FoundServer,
  settings: AgentSettings,
  options: ToolOptions,
): Promise<Made> {
  const began = Date.now();
  await runTool(
    "pg_basebackup",
    [
      ...[`--dbname=host=${source.host} user=repl`, `--pgdata=${folder}`, "--format=tar", "--wal-method=stream"],
      ...["--compress=client-gzip:1", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password"],
      `--label=${settings.slot}`,
      ...(settings.rateMiB === null ? [] : [`--max-rate=${settings.rateMiB}M`]),
    ],
    options,
  );
  const toolSeconds = (Date.now() - began) / 1000;
  const unpacked = join(folder, "unpacked");
  await mkdir(join(unpacked, "pg_wal"), { recursive: true });
  await runTool("tar", ["-xzf", join(folder, baseFile), "-C", unpacked], options);
  await runTool("tar", ["-xzf", join(folder, baseWalFile), "-C", join(unpacked, "pg_wal")], options);
  const manifest = join(folder, baseManifestFile);
  await runTool("pg_verifybackup", ["--exit-on-error", "--quiet", `--manifest-path=${manifest}`, unpacked], options);
  await rm(unpacked, { recursive: true });
  return {
    toolSeconds,
    tool: (await runTool("pg_basebackup", ["--version"], options)).trim(),
    wal: (await readBaseManifest(manifest)).wal,
  };
}
