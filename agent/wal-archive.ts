import { createReadStream, createWriteStream, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { Writable } from "node:stream";
import { inALine } from "./failure";
import type { Stored } from "./store";

/** PostgreSQL's default, which initdb was not told otherwise. */
export const segmentBytes = 16 * 1024 ** 2;

/** A complete segment of WAL in the archive. */
export interface Segment {
  /** Without `.gz`: `000000010000000000000007`. */
  readonly name: string;
  readonly timeline: number;
  /** Counted over the whole log: position / 16 MiB. */
  readonly number: number;
  readonly file: string;
  readonly compressed: boolean;
}

/** A stretch of WAL without a gap, in a folder of its own: a lost slot ends it. */
export interface Stretch {
  readonly folder: string;
  readonly begunAt: Date;
  /** In order. */
  readonly segments: readonly Segment[];
}

/** `0/3000028` in bytes. */
export function parseLsn(lsn: string): bigint {
  const [high = "0", low = "0"] = lsn.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** The number of the segment a position is in. */
export function segmentNumber(lsn: string): number {
  return Number(parseLsn(lsn) / BigInt(segmentBytes));
}

/** The archive of WAL: stretches, of which the last one grows. */
export class WalArchive {
  readonly root: string;

  constructor(store: string) {
    this.root = join(store, "wal");
  }

  /** In order of time. */
  stretches(): readonly Stretch[] {
    const names = existsSync(this.root) ? readdirSync(this.root).sort() : [];
    return names.map((name) => {
      const folder = join(this.root, name);
      return { folder, begunAt: timeOf(name), segments: segmentsOf(folder) };
    });
  }

  /** The folder that grows; made where there is none. */
  async current(): Promise<Stretch> {
    const last = this.stretches().at(-1);
    return last ?? (await this.begin());
  }

  /** A new stretch: what comes next does not follow what is there. */
  async begin(): Promise<Stretch> {
    const begunAt = new Date();
    const folder = join(this.root, begunAt.toISOString().replaceAll(/[-:.]/g, ""));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return { folder, begunAt, segments: [] };
  }

  /** Compresses what is complete. The receiver knows its segments by either name. */
  async compress(): Promise<number> {
    const waiting = this.stretches().flatMap(({ segments }) => segments.filter(({ compressed }) => !compressed));
    for (const { file } of waiting) {
      const unfinished = `${file}.gz.tmp`;
      await pipeline(createReadStream(file), createGzip({ level: 1 }), createWriteStream(unfinished, { mode: 0o600 }));
      const handle = await open(unfinished, "r");
      await handle.sync();
      await handle.close();
      await rename(unfinished, `${file}.gz`);
      rmSync(file);
    }
    return waiting.length;
  }

  /**
   * Deletes what no kept base backup starts from: in each stretch what is before the oldest of its own, and a stretch that has ended
   * and has none. A base backup has the WAL it needs to be consistent in itself, so a pinned one needs nothing here.
   * @returns paths below the archive of what was deleted
   */
  prune(bases: readonly Stored[]): readonly string[] {
    const stretches = this.stretches();
    return stretches.flatMap((stretch, index) => {
      const isCurrent = index === stretches.length - 1;
      const own = bases.filter((base) => !base.pinned && stretchOf(base.startedAt, stretches) === stretch);
      const first = Math.min(...own.map(({ manifest }) => segmentNumber(manifest.wal.start)));
      const gone = stretch.segments.filter(({ number }) => (own.length === 0 ? !isCurrent : number < first));
      for (const { file } of gone) rmSync(file);
      if (!isCurrent && own.length === 0) rmSync(stretch.folder, { recursive: true });
      const name = stretch.folder.slice(this.root.length + 1);
      return gone.map((segment) => `${name}/${segment.name}.gz`);
    });
  }
}

/** When the newest WAL of a folder came in, complete or not; undefined where there is none. */
export function receivedAt(folder: string): Date | undefined {
  const times = readdirSync(folder)
    .filter((entry) => /^[0-9A-F]{24}(\.gz|\.partial)?$/.test(entry))
    .map((entry) => statSync(join(folder, entry)).mtimeMs);
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}

/** The stretch a backup was made in. */
export function stretchOf(startedAt: Date, stretches: readonly Stretch[]): Stretch | undefined {
  return stretches.findLast(({ begunAt }) => begunAt <= startedAt);
}

/** What is wrong with a stretch, in words: a segment that is missing, or is not what was received. */
export async function flawsOf({ segments }: Stretch): Promise<readonly string[]> {
  const flaws: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const before = segments[index - 1];
    if (before !== undefined && segment.number > before.number + 1) {
      flaws.push(`WAL between ${before.name} and ${segment.name} is missing`);
    }
    const bytes = await contentBytes(segment).catch((error: unknown) => inALine(error));
    if (bytes !== segmentBytes) flaws.push(`${segment.name}: ${typeof bytes === "string" ? bytes : `${bytes} bytes`}`);
  }
  return flaws;
}

/** Reads it to its end; gzip has a checksum of what is in it. */
async function contentBytes({ file, compressed }: Segment): Promise<number> {
  if (!compressed) return statSync(file).size;
  let bytes = 0;
  const counter = new Writable({
    write(chunk: Buffer, _, done) {
      bytes += chunk.length;
      done();
    },
  });
  await pipeline(createReadStream(file), createGunzip(), counter);
  return bytes;
}

function segmentsOf(folder: string): readonly Segment[] {
  return readdirSync(folder)
    .sort()
    .flatMap((entry) => {
      const [, name, timeline = "", high = "", low = "", gz] =
        /^(([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8}))(\.gz)?$/.exec(entry) ?? [];
      if (name === undefined) return [];
      const perHigh = 2 ** 32 / segmentBytes;
      return [
        {
          name,
          timeline: parseInt(timeline, 16),
          number: parseInt(high, 16) * perHigh + parseInt(low, 16),
          file: join(folder, entry),
          compressed: gz !== undefined,
        },
      ];
    })
    .sort((a, b) => a.number - b.number || a.timeline - b.timeline);
}

/** `20261126T170000123Z` */
function timeOf(name: string): Date {
  return new Date(name.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/, "$1-$2-$3T$4:$5:$6.$7Z"));
}
