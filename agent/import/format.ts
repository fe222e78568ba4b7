import { Readable, type Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { BackupFailure } from "../failure";

/** What a file is that somebody has made by hand: pg_dump's SQL, its own format (`-Fc`), or pg_basebackup's tar. */
export type FileFormat = "plain" | "custom" | "tar";

/** As much of a file as tells what it is. */
const headBytes = 512;

/**
 * Looks at a file's first bytes, and beneath gzip.
 * @returns what it is, and all of it, not compressed
 * @throws BackupFailure for what neither tool of the page makes
 */
export async function recognize(file: Readable): Promise<{ readonly format: FileFormat; readonly contents: Readable }> {
  const begun = await begin(file);
  const isCompressed = begun.head[0] === 0x1f && begun.head[1] === 0x8b;
  const { head, contents } = isCompressed ? await begin(piped(begun.contents, createGunzip())) : begun;
  return { format: formatOf(head), contents };
}

/** @throws BackupFailure */
export function formatOf(head: Buffer): FileFormat {
  const text = head.toString("latin1");
  if (text.slice(257, 262) === "ustar") return "tar";
  if (text.includes("PostgreSQL database dump")) return "plain";
  if (text.startsWith("PGDMP")) return "custom";
  throw new BackupFailure(
    "it is neither pg_dump's SQL, nor its custom format, nor pg_basebackup's tar, with or without gzip",
  );
}

async function begin(stream: Readable): Promise<{ readonly head: Buffer; readonly contents: Readable }> {
  const chunks: Buffer[] = [];
  const iterator: AsyncIterator<Buffer, undefined> = stream[Symbol.asyncIterator]();
  for (let size = 0; size < headBytes;) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    chunks.push(value);
    size += value.length;
  }
  const read = Buffer.concat(chunks);
  const rest = async function* () {
    yield read;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  };
  return { head: read.subarray(0, headBytes), contents: Readable.from(rest(), { objectMode: false }) };
}

/** An error of what is read is one of what reads it. */
export function piped<T extends Transform>(from: Readable, to: T): T {
  from.on("error", (error) => to.destroy(error));
  return from.pipe(to);
}
