import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BackupFailure } from "../failure";
import type { LogicalContents, ManifestFile } from "../manifest";

/** What was made of a file, and what it was. */
export interface Loaded {
  /** Of the file, as it was read. */
  readonly bytes: number;
  /** Of the file, in hexadecimal. */
  readonly sha256: string;
  /** What of it nobody can know, in words. */
  readonly unverified: readonly string[];
  /** Of the server it was loaded into: `16.14`. */
  readonly version: string;
  /** What dumped it there. */
  readonly tool: string;
  readonly logical: LogicalContents;
  readonly files: readonly ManifestFile[];
}

/** Writes it, and after it the bytes of its files, one after the other. */
export async function writeLoaded(loaded: Loaded, folder: string, to: Writable): Promise<void> {
  to.write(`${JSON.stringify(loaded)}\n`);
  for (const { name } of loaded.files) await pipeline(createReadStream(join(folder, name)), to, { end: false });
}

/** Names of all tables are in it. */
const maxHeaderBytes = 64 * 1024 ** 2;

/**
 * Reads what {@link writeLoaded} has written into `folder`. Whoever wrote it has run what was in the file: nothing of it is believed
 * that is not looked at.
 * @param services that may be in it
 * @param prepare is told what is to come before anything is written
 * @throws BackupFailure where it breaks off, or is anything else
 */
export async function readLoaded(
  from: Readable,
  folder: string,
  services: readonly string[],
  prepare: (loaded: Loaded) => Promise<void>,
): Promise<Loaded> {
  const pieces = new Pieces(from);
  const loaded = parseLoaded((await pieces.line(maxHeaderBytes)).toString("utf8"), services);
  await prepare(loaded);
  for (const { name, bytes, sha256 } of loaded.files) {
    const file = await open(join(folder, name), "wx", 0o600);
    const hash = createHash("sha256");
    try {
      for await (const piece of pieces.take(bytes)) {
        hash.update(piece);
        await file.write(piece);
      }
    } finally {
      await file.close();
    }
    if (hash.digest("hex") !== sha256) throw new BackupFailure(`${name} has come in changed`);
  }
  await pieces.end();
  return loaded;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** As tools say it, and no text of an owner's. */
const isWord = (value: unknown) => isText(value) && value.length <= 200;
const isNever = () => false;
/** Of a few kinds of things; in each only the first few names. */
const maxUnverified = 10;
const each = (value: unknown, is: (one: unknown) => boolean) => Array.isArray(value) && value.every(is);
const eachOf = (value: unknown, is: (one: unknown) => boolean) => isObject(value) && Object.values(value).every(is);
/** With these properties and no others: whatever else there were would be kept, and listed. */
const exactly = (properties: Readonly<Record<string, (one: unknown) => boolean>>) => (value: unknown) =>
  isObject(value) &&
  Object.keys(value).length === Object.keys(properties).length &&
  Object.entries(properties).every(([name, is]) => is(value[name]));
const isHash = (value: unknown) => isText(value) && /^[0-9a-f]{64}$/.test(value);

/**
 * @param services that may be in it
 * @throws BackupFailure for anything that is not one
 */
export function parseLoaded(text: string, services: readonly string[]): Loaded {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BackupFailure("what was loaded does not come in");
  }
  const isService = (one: unknown) => isText(one) && services.includes(one);
  const isFileName = (one: unknown) => isWord(one) && /^\w+(-\w+)?\.dump$/.test(String(one));
  const isFile = exactly({ name: isFileName, bytes: isCount, sha256: isHash });
  const ofTable = {
    rows: isCount,
    hash: isText,
    columns: isText,
    constraints: isCount,
    indexes: isCount,
    triggers: isCount,
  };
  const isLogical = exactly({
    dumps: (value) => each(value, exactly({ file: isFileName, service: (one) => one === null || isService(one) })),
    rowKey: (value) => isText(value) && /^[0-9a-f]{16}$/.test(value),
    objects: (value) => eachOf(value, exactly({ functions: isCount, types: isCount, views: isCount })),
    tables: (value) => eachOf(value, exactly(ofTable)),
    sequences: (value) => eachOf(value, exactly({ last: isText, isCalled: (one) => typeof one === "boolean" })),
    services: (value) => each(value, isService),
    leftOut: (value) => each(value, exactly({ service: isService, why: isText })),
    // Those are the stack's.
    roles: (value) => each(value, isNever),
  });
  const isLoaded = exactly({
    bytes: isCount,
    sha256: isHash,
    unverified: (value) => each(value, isText),
    version: isWord,
    tool: isWord,
    files: (value) => each(value, isFile),
    logical: isLogical,
  })(value);
  if (!isLoaded) throw new BackupFailure("what was loaded is not what a load gives");
  const loaded = value as Loaded;
  const { services: inside, leftOut } = loaded.logical;
  const told = [...inside, ...leftOut.map(({ service }) => service)];
  if (new Set(told).size !== told.length || loaded.unverified.length > maxUnverified)
    throw new BackupFailure("what was loaded tells more than there is");
  const names = loaded.files.map(({ name }) => name);
  const dumps = loaded.logical.dumps.map(({ file }) => file);
  const isMany = names.length > services.length + 1;
  if (isMany || new Set(names).size !== names.length || names.toSorted().join() !== dumps.toSorted().join()) {
    throw new BackupFailure("what was loaded has other files than dumps");
  }
  return loaded;
}

/** A stream, a line or so many bytes at a time. */
class Pieces {
  private readonly chunks: AsyncIterator<Buffer, undefined>;
  private left: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]();
  }

  async line(maxBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let size = 0; size <= maxBytes;) {
      const chunk = await this.next();
      const end = chunk.indexOf("\n");
      parts.push(end < 0 ? chunk : chunk.subarray(0, end));
      if (end >= 0) {
        this.left = chunk.subarray(end + 1);
        return Buffer.concat(parts);
      }
      size += chunk.length;
    }
    throw new BackupFailure("what was loaded begins with no line");
  }

  async *take(bytes: number): AsyncGenerator<Buffer> {
    for (let missing = bytes; missing > 0;) {
      const chunk = await this.next();
      const piece = chunk.subarray(0, missing);
      this.left = chunk.subarray(piece.length);
      missing -= piece.length;
      yield piece;
    }
  }

  /** @throws BackupFailure where more comes */
  async end(): Promise<void> {
    const more = this.left.length > 0 || (await this.chunks.next()).done !== true;
    if (more) throw new BackupFailure("what was loaded goes on after its end");
  }

  private async next(): Promise<Buffer> {
    if (this.left.length > 0) {
      const chunk = this.left;
      this.left = Buffer.alloc(0);
      return chunk;
    }
    const { value, done } = await this.chunks.next();
    if (done === true) throw new BackupFailure("what was loaded breaks off");
    return value;
  }
}
