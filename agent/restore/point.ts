import { fetchWalFile } from "../../components/backup/agent-file";
import { parseLsn, segmentBytes, segmentNumber } from "../wal-position";

/** Where a recovery ends, as PostgreSQL's recovery_target_… have it; with what it names still in. */
export type RecoveryTarget =
  /** With its zone: `2026-11-26 17:00:00.25+00`. */
  | { readonly kind: "time"; readonly at: string }
  /** `0/3000028` */
  | { readonly kind: "lsn"; readonly at: string }
  /** As pg_current_xact_id() has it: up to 64 bits. */
  | { readonly kind: "xid"; readonly at: string }
  /** All WAL there is. */
  | { readonly kind: "latest" };

/** A base backup, and how far the WAL that follows it leads. */
export interface Way {
  readonly base: string;
  /** Folder of the base backup. */
  readonly folder: string;
  /** From here on every moment can be reached: when the base backup was proven, and the end of the WAL it needs. */
  readonly from: { readonly time: Date; readonly lsn: string };
  /** To here: when the newest WAL came in, and the segment it is in. */
  readonly to: { readonly time: Date; readonly segment: number };
  /** Folder of its stretch of WAL. */
  readonly stretch: string;
  /** The last one in that stretch. */
  readonly timeline: number;
  /** Bytes of WAL between both. */
  readonly walBytes: number;
}

/**
 * Ways to a target, the best first: from the newest base backup there is the least to replay. Where none leads there, none. Of a
 * transaction nobody knows which WAL it is in: all of them. The newest is what is last in the WAL, not by a date: the clock may have been
 * wrong.
 */
export function waysTo(target: RecoveryTarget, ways: readonly Way[]): readonly Way[] {
  const newestFirst = ways.toSorted(byPlace).reverse();
  switch (target.kind) {
    case "latest":
      return newestFirst.slice(0, 1);
    case "xid":
      return newestFirst;
    case "time": {
      const time = Date.parse(target.at.replace(" ", "T"));
      return newestFirst.filter(({ from, to }) => from.time.getTime() <= time && time <= to.time.getTime());
    }
    case "lsn":
      return newestFirst.filter(
        ({ from, to }) => parseLsn(from.lsn) <= parseLsn(target.at) && segmentNumber(target.at) <= to.segment,
      );
  }
}

/** Stretches are named in their order. */
function byPlace(a: Way, b: Way): number {
  if (a.stretch !== b.stretch) return a.stretch < b.stretch ? -1 : 1;
  return Number(parseLsn(a.from.lsn) - parseLsn(b.from.lsn));
}

/** What to know of a target that more than one history has, as after a restore to a point in time; undefined where it is in one. */
export function severalHistories(target: RecoveryTarget, ways: readonly Way[]): string | undefined {
  if (target.kind === "time" || target.kind === "latest") return undefined;
  if (new Set(waysTo(target, ways).map(({ stretch }) => stretch)).size < 2) return undefined;
  return `${describeTarget(target)} may be in more than one history: the newest that has it is taken, and --to-time says which`;
}

/** `2026-11-26 17:00:00.25+00`, `transaction 1234`, `LSN 0/3000028`, `the last WAL that was received`. */
export function describeTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case "time":
      return target.at;
    case "lsn":
      return `LSN ${target.at}`;
    case "xid":
      return `transaction ${target.at}`;
    case "latest":
      return "the last WAL that was received";
  }
}

/**
 * What can be reached, a line for each stretch of WAL.
 * @param ways oldest base first
 */
export function describeWindows(ways: readonly Way[]): readonly string[] {
  const whole = ways.filter(({ from, to }) => from.time <= to.time);
  const oldest = whole.filter(({ stretch }, index) => whole.findIndex((other) => other.stretch === stretch) === index);
  return oldest.map(
    ({ from, to }) =>
      `from ${from.time.toISOString()} (LSN ${from.lsn}) to ${to.time.toISOString()} (LSN ${endOf(to.segment)} at most)`,
  );
}

/** Why a target cannot be reached, with what can. */
export function refusal(target: RecoveryTarget, ways: readonly Way[], why?: string): string {
  const windows = describeWindows(ways);
  const possible =
    windows.length === 0
      ? "no point can be restored yet: it takes a physical backup and WAL"
      : `possible is any point ${windows.join(", or ")}`;
  const latest =
    target.kind === "time" && windows.length > 0
      ? "; all that was received, whenever it was written, is --to-latest"
      : "";
  return `${describeTarget(target)} cannot be reached${why === undefined ? "" : `, ${why}`}; ${possible}${latest}`;
}

/** The first position a segment does not have. */
function endOf(segment: number): string {
  const position = BigInt(segment + 1) * BigInt(segmentBytes);
  return `${(position >> 32n).toString(16)}/${(position & 0xffffffffn).toString(16)}`.toUpperCase();
}

/**
 * Settings of the recovery, a line each, for postgresql.auto.conf. The data directory is a standby's that follows nobody: at the end of the
 * WAL it waits, where PostgreSQL's plain recovery would become a primary at once, or give up.
 */
export function recoverySettings(target: RecoveryTarget, { stretch, timeline }: Way): string {
  const archive = stretch.slice(0, stretch.lastIndexOf("/"));
  const rows = {
    restore_command: `sh ${fetchWalFile} ${stretch} %f %p ${archive}`,
    recovery_target_timeline: String(timeline),
    recovery_target_action: "pause",
    ...(target.kind === "latest" ? {} : { [`recovery_target_${target.kind}`]: target.at }),
  };
  return Object.entries(rows)
    .map(([name, value]) => `${name} = '${value}'\n`)
    .join("");
}

/** What pg_controldata says of the transactions at a base backup's checkpoint. */
export interface TransactionRange {
  /** All before are over there. */
  readonly oldestActive: number;
  /** It and all that follow begin after it. */
  readonly next: number;
}

export function transactionRange(controlData: string): TransactionRange {
  const next = Number(/^Latest checkpoint's NextXID: +\d+:(\d+)$/m.exec(controlData)?.[1]);
  const oldest = Number(/^Latest checkpoint's oldestActiveXID: +(\d+)$/m.exec(controlData)?.[1]);
  return { next, oldestActive: oldest === 0 ? next : oldest };
}

/** Numbers of transactions come round after 2^32: as PostgreSQL compares them, on a circle. */
export function precedes(xid: number, other: number): boolean {
  return ((xid - other) | 0) < 0;
}

/** The 32 bits that WAL has of it. */
export function shortXid(xid: string): number {
  return Number(BigInt(xid) & 0xffffffffn);
}
