import { past } from "../past";
import { backupKinds, lastTime, type Made } from "../schedule";
import type { Drill } from "./results";

/** The page's weekly rhythm. The base backup of 02:00 has four hours to be there, and nobody works yet. */
export const drillPattern = "0 6 * * 0";

/**
 * What failed is tried again after so long; each further time twice as long, up to the last. Longer than a backup's: a drill restores
 * everything, and from one night to the next it finds another dump.
 */
const retryMs = { first: 30 * 60_000, last: 24 * 3_600_000 };

/**
 * Whether a drill is to be made: in a new stack as soon as there is a backup of each kind, then each week; one that was missed is
 * made up. Pure.
 * @param drills that were made, oldest first; one that is dated in the future does not count: the clock was wrong then
 * @param backups that can be restored; asked for only where it depends on them
 */
export function isDrillDue(
  drills: readonly Drill[],
  backups: () => readonly Pick<Made, "kind" | "startedAt">[],
  now: Date,
  timeZone: string,
): boolean {
  return isTime(past(drills, now), now, timeZone) && hasBoth(backups(), now);
}

/** Whether every backup was what it was. */
export function isWell({ backups }: Drill): boolean {
  return backups.every(({ wrong }) => wrong.length === 0);
}

function isTime(made: readonly Drill[], now: Date, timeZone: string): boolean {
  const last = made.at(-1);
  if (last === undefined || Date.parse(last.startedAt) < lastTime(drillPattern, now, timeZone).getTime()) return true;
  const failed = made.length - 1 - made.findLastIndex(isWell);
  const pause = Math.min(retryMs.first * 2 ** (failed - 1), retryMs.last);
  return failed > 0 && now.getTime() - Date.parse(last.finishedAt) >= pause;
}

function hasBoth(backups: readonly Pick<Made, "kind" | "startedAt">[], now: Date): boolean {
  return backupKinds.every((kind) => past(backups, now).some((backup) => backup.kind === kind));
}
