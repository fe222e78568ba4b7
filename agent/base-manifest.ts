import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { BackupFailure } from "./failure";
import type { Made } from "./logical";

/** What PostgreSQL's own manifest says of a base backup. */
export interface BaseManifest {
  /** Of all its files, as they lie in a data directory. */
  readonly bytes: number;
  /** What it needs to be consistent. */
  readonly wal: Made["wal"];
}

interface FileLine {
  readonly Size: number;
}

interface WalLine {
  readonly Timeline: number;
  readonly "Start-LSN": string;
  readonly "End-LSN": string;
}

/**
 * Reads it a line at a time, of which PostgreSQL gives each file one: an owner may make millions.
 * @param file `backup_manifest`
 * @throws BackupFailure where it names no WAL
 */
export async function readBaseManifest(file: string): Promise<BaseManifest> {
  let bytes = 0;
  const wal: WalLine[] = [];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    if (!line.startsWith('{ "') || !/\},?$/.test(line)) continue;
    const said = JSON.parse(line.replace(/,$/, "")) as Partial<FileLine & WalLine>;
    if (said.Size !== undefined) bytes += said.Size;
    const { Timeline, "Start-LSN": start, "End-LSN": end } = said;
    if (Timeline !== undefined && start !== undefined && end !== undefined)
      wal.push({ Timeline, "Start-LSN": start, "End-LSN": end });
  }
  const [first, last] = [wal[0], wal.at(-1)];
  if (first === undefined || last === undefined) throw new BackupFailure("its manifest names no WAL");
  return { bytes, wal: { timeline: first.Timeline, start: first["Start-LSN"], stop: last["End-LSN"] } };
}
