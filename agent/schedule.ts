import { Cron } from "croner";
import type { LogicalContents } from "./manifest";
import { past } from "./past";

/** A backup is kept for the classes it was due for: the page's daily, weekly and monthly one. */
export type BackupClass = "daily" | "weekly" | "monthly";

export const backupClasses = ["daily", "weekly", "monthly"] as const satisfies readonly BackupClass[];

/** `logical`: pg_dump and pg_dumpall; `physical`: pg_basebackup, from which with WAL any later moment is reached. */
export type BackupKind = "logical" | "physical";

export const backupKinds = ["logical", "physical"] as const satisfies readonly BackupKind[];

/** What may be in the store: a backup of the schedule's, or what was made of a file that somebody has brought. */
export type StoredKind = BackupKind | "imported";

/** The page's times, in the stack's time zone. Where a night has no 02:00, it is the moment the clock jumps to. */
const patterns: Readonly<Record<BackupClass, string>> = {
  daily: "0 2 * * *",
  weekly: "0 2 * * 0",
  monthly: "0 2 1 * *",
};

/** A physical backup each night would be much; the WAL between two of them is kept anyway. */
export const classesOf: Readonly<Record<BackupKind, readonly BackupClass[]>> = {
  logical: backupClasses,
  physical: ["weekly", "monthly"],
};

/** What the schedule asks of a backup. */
export interface Made {
  readonly kind: StoredKind;
  readonly startedAt: Date;
  readonly classes: readonly BackupClass[];
}

/** When a class was last due, at `now` or before. */
export function lastDue(backupClass: BackupClass, now: Date, timeZone: string): Date {
  return lastTime(patterns[backupClass], now, timeZone);
}

/** When a pattern of cron's was last due, at `now` or before. */
export function lastTime(pattern: string, now: Date, timezone: string): Date {
  // What comes before a moment leaves the moment itself out.
  const [due] = new Cron(pattern, { timezone, paused: true }).previousRuns(1, new Date(now.getTime() + 1));
  if (due === undefined) throw new RangeError(`${pattern} was never due in ${timezone}`);
  return due;
}

/** When the schedule wants something next, after `now`. */
export function nextDue(now: Date, timeZone: string): Date {
  const due = new Cron(patterns.daily, { timezone: timeZone, paused: true }).nextRun(now);
  if (due === null) throw new RangeError(`${patterns.daily} is never due in ${timeZone}`);
  return due;
}

/**
 * The classes a backup of this kind must be made for: those whose last time came after the last proven one began. So a run
 * that failed or was missed is made up whenever somebody asks.
 * @param proven backups that count; one that is dated in the future does not: the clock was wrong then, and it would keep
 * all others from being made
 */
export function dueClasses(
  kind: BackupKind,
  proven: readonly Made[],
  now: Date,
  timeZone: string,
): readonly BackupClass[] {
  return classesOf[kind].filter((backupClass) => {
    const due = lastDue(backupClass, now, timeZone);
    return !past(proven, now).some(
      (made) => made.kind === kind && made.classes.includes(backupClass) && made.startedAt >= due,
    );
  });
}

type KnownServices = Pick<LogicalContents, "services" | "leftOut">;

/** A dump in the store, and what it knows of. */
interface Dump extends Pick<Made, "kind" | "startedAt"> {
  readonly manifest: { readonly logical?: KnownServices };
}

/**
 * Services for which a dump is made though no class is due. Pure.
 * @param backups that count, oldest first; one that is dated in the future is no last one: it would never know a service that is new
 * @param justMade by whoever asks. Where the clock is set meanwhile it is no last one either, and is not made again for what it knows
 */
export function newServices(
  backups: readonly Dump[],
  services: readonly string[],
  now: Date,
  justMade: KnownServices = { services: [], leftOut: [] },
): readonly string[] {
  const last = past(backups, now).findLast(({ kind }) => kind === "logical")?.manifest.logical;
  return last === undefined ? [] : unknownServices(justMade, unknownServices(last, services));
}

/**
 * Services the last dump knows nothing of: those are not left to the next night. One that was left out is: what kept it out is its own
 * doing, and would again.
 */
export function unknownServices(last: KnownServices, services: readonly string[]): readonly string[] {
  const known = new Set([...last.services, ...last.leftOut.map(({ service }) => service)]);
  return services.filter((service) => !known.has(service));
}
