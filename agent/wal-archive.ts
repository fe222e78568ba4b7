import { createReadStream, createWriteStream, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { mkdir, open, rename, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Stored } from "./store";
import { segmentBytes, segmentNumber, segmentsPerHigh } from "./wal-position";

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
  /** Of the cluster whose WAL it is. */
  readonly systemIdentifier: string;
  /** Every segment, complete or not, in order. */
  readonly received: readonly Pick<Segment, "timeline" | "number">[];
  /** The one it begins with; undefined while it has none. */
  readonly first: Pick<Segment, "timeline" | "number"> | undefined;
  /** In order. */
  readonly segments: readonly Segment[];
  /** Base backups, by id, that do not lead to it though timeline and place in the log might. */
  readonly foreign: readonly string[];
}

/** The archive of WAL: stretches, of which the last one grows. */
export class WalArchive {
  readonly root: string;

  constructor(store: string) {
    this.root = join(store, "wal");
  }

  /** In order of time. */
  stretches(): readonly Stretch[] {
    const names = existsSync(this.root)
      ? readdirSync(this.root)
          .filter((name) => /^\d{8}T\d{9}Z$/.test(name))
          .sort()
      : [];
    return names.map((name) => {
      const folder = join(this.root, name);
      const received = receivedIn(folder);
      return {
        ...{ folder, begunAt: timeOf(name), systemIdentifier: identifierOf(folder), received },
        // The primary has no WAL before a slot's begin: it is the first there was, or all before was deleted.
        ...{ first: received[0], segments: segmentsOf(folder), foreign: foreignTo(folder) },
      };
    });
  }

  /** The folder that grows; made where there is none. Nobody may be receiving into it. */
  async current(systemIdentifier: string): Promise<Stretch> {
    const last = this.stretches().at(-1);
    // Another cluster's WAL does not follow, wherever in its log it is.
    if (last?.systemIdentifier !== systemIdentifier) return this.begin(systemIdentifier);
    for (const file of neverFilled(last.folder)) rmSync(file);
    return last;
  }

  /** A new stretch: what comes next does not follow what is there. The last one by name too, whatever the clock says. */
  async begin(systemIdentifier: string): Promise<Stretch> {
    const last = this.stretches().at(-1)?.begunAt.getTime() ?? 0;
    const begunAt = new Date(Math.max(Date.now(), last + 1));
    const folder = join(this.root, begunAt.toISOString().replaceAll(/[-:.]/g, ""));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, identifierFile), `${systemIdentifier}\n`, { mode: 0o600 });
    return { folder, begunAt, systemIdentifier, received: [], first: undefined, segments: [], foreign: [] };
  }

  /**
   * The same where the server is of another history from now on, at a place in the log where it may have been before.
   * @param bases by id, all there are: none of them leads to what comes next
   */
  async beginApart(bases: readonly string[]): Promise<void> {
    const last = this.stretches().at(-1);
    if (last === undefined) return;
    // An empty one is as good as a new one.
    const { folder } = last.first === undefined ? last : await this.begin(last.systemIdentifier);
    await writeFile(join(folder, foreignFile), bases.map((id) => `${id}\n`).join(""), { mode: 0o600 });
  }

  /** Compresses what is complete. The receiver knows its segments by either name. */
  async compress(): Promise<number> {
    const waiting = this.stretches().flatMap(({ segments }) => segments.filter(({ compressed }) => !compressed));
    for (const { file } of waiting) {
      const unfinished = `${file}.gz.tmp`;
      await pipeline(createReadStream(file), createGzip({ level: 1 }), createWriteStream(unfinished, { mode: 0o600 }));
      // When it came in, not when it was compressed: that is what a window of recovery ends with.
      const { atime, mtime } = statSync(file);
      await utimes(unfinished, atime, mtime);
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
   * and has none.
   * @param bases from which somebody may want to go on; a base backup has the WAL it needs to be consistent in itself
   * @returns paths below the archive of what was deleted
   */
  prune(bases: readonly Stored[]): readonly string[] {
    const stretches = this.stretches();
    return stretches.flatMap((stretch, index) => {
      const isCurrent = index === stretches.length - 1;
      const own = bases.filter((base) => stretchOf(base, stretches) === stretch);
      const first = Math.min(...own.map(({ manifest }) => segmentNumber(manifest.wal.start)));
      const gone = stretch.segments.filter(({ number }) => (own.length === 0 ? !isCurrent : number < first));
      for (const { file } of gone) rmSync(file);
      const name = stretch.folder.slice(this.root.length + 1);
      const segments = gone.map((segment) => `${name}/${segment.name}.gz`);
      if (isCurrent || own.length > 0) return segments;
      const others = readdirSync(stretch.folder).map((entry) => `${name}/${entry}`);
      rmSync(stretch.folder, { recursive: true });
      return [...segments, ...others];
    });
  }
}

/**
 * What a full disk leaves: pg_receivewal gives a segment its size before it writes into it, and where that fails half way it will
 * not open the file again, for ever ("has 1851392 bytes, should be 0 or 16777216").
 */
function neverFilled(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((entry) => /^[0-9A-F]{24}\.partial$/.test(entry))
    .map((entry) => join(folder, entry))
    .filter((file) => ![0, segmentBytes].includes(statSync(file).size));
}

/** When the newest WAL before a hole came in, complete or not; undefined where there is none. */
export function receivedAt({ folder, segments }: Stretch): Date | undefined {
  const hole = segments.find(({ number }, index) => index > 0 && number > (segments[index - 1]?.number ?? 0) + 1);
  // Of the last by name: an earlier one may be of a time when the clock was ahead.
  const last = readdirSync(folder)
    .filter((entry) => /^[0-9A-F]{24}(\.gz|\.partial)?$/.test(entry) && (hole === undefined || entry < hole.name))
    .toSorted()
    .at(-1);
  return last === undefined ? undefined : statSync(join(folder, last)).mtime;
}

/** The newest segment before a hole, complete or not; undefined where there is none. */
export function lastReceived({ received }: Stretch): Stretch["first"] {
  const hole = received.findIndex(({ number }, index) => index > 0 && number > (received[index - 1]?.number ?? 0) + 1);
  return received.at(hole < 0 ? -1 : hole - 1);
}

/**
 * The stretch that has the WAL after a base backup. By cluster, timeline and place in the log: a clock may have been wrong, and what was
 * restored to a point in time may be the primary on an older timeline again.
 */
export function stretchOf({ id, manifest }: Stored, stretches: readonly Stretch[]): Stretch | undefined {
  const end = segmentNumber(manifest.wal.stop);
  return stretches.findLast(
    ({ received, first, systemIdentifier, foreign }) =>
      systemIdentifier === manifest.server.systemIdentifier &&
      !foreign.includes(id) &&
      first !== undefined &&
      first.number <= end &&
      leadsOnFrom(received, manifest.wal.timeline, end),
  );
}

/** Of a later timeline alone nothing is what was written before the promotion; what is to come is not there yet. */
function leadsOnFrom(received: Stretch["received"], timeline: number, end: number): boolean {
  const there = received.filter(({ number }) => number === end);
  if (there.length > 0) return there.some((segment) => segment.timeline === timeline);
  return received.every((segment) => segment.number > end || segment.timeline <= timeline);
}

function receivedIn(folder: string): Stretch["received"] {
  const found = readdirSync(folder).flatMap((entry) => {
    const [, timeline, high, low] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.gz|\.partial)?$/.exec(entry) ?? [];
    if (timeline === undefined || high === undefined || low === undefined) return [];
    return [{ timeline: parseInt(timeline, 16), number: parseInt(high, 16) * segmentsPerHigh + parseInt(low, 16) }];
  });
  return found.sort((a, b) => a.number - b.number || a.timeline - b.timeline);
}

const identifierFile = "system-identifier";
const foreignFile = "foreign-bases";
/** Files of a stretch that are no WAL and go where it goes. */
export const stretchFiles: readonly string[] = [identifierFile, foreignFile];

function foreignTo(folder: string): readonly string[] {
  const file = join(folder, foreignFile);
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
}

function identifierOf(folder: string): string {
  const file = join(folder, identifierFile);
  return existsSync(file) ? readFileSync(file, "utf8").trim() : "";
}

function segmentsOf(folder: string): readonly Segment[] {
  return readdirSync(folder)
    .sort()
    .flatMap((entry) => {
      const [, name, timeline = "", high = "", low = "", gz] =
        /^(([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8}))(\.gz)?$/.exec(entry) ?? [];
      if (name === undefined) return [];
      return [
        {
          name,
          timeline: parseInt(timeline, 16),
          number: parseInt(high, 16) * segmentsPerHigh + parseInt(low, 16),
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
