import { BackupFailure } from "../failure";
import { settled, startTool, type ToolOptions } from "../tool";

/**
 * Of one file. Each of pg_restore has all its definitions in memory, twice, whatever it is asked for; it runs beside a server, in a
 * container of a gigabyte where that is small. Those of a thousand tables are a few megabytes.
 */
const maxBytes = 128 * 1024 ** 2;

/**
 * That a dump's definitions (options, comments, bodies of functions, constants) are no more than can be restored. An owner makes gigabytes
 * of them, which the catalog has in a hundredth: the dump is what the database has, and nobody could get anything out of it.
 * @throws BackupFailure
 */
export async function requireFewDefinitions(file: string, options: ToolOptions): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const reading = startTool(
    "pg_restore",
    ["--schema-only", "--file=-", file],
    { ...options, signal },
    { buffer: false },
  );
  let bytes = 0;
  reading.stdout.on("data", (chunk: Buffer | string) => {
    bytes += chunk.length;
    if (bytes > maxBytes) enough.abort();
  });
  await settled("pg_restore", reading).catch((error: unknown) => {
    if (!enough.signal.aborted) throw error;
    throw new BackupFailure(`its definitions are more than ${maxBytes / 1024 ** 2} MiB, and could hardly be restored`);
  });
}
