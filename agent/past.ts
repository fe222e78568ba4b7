/**
 * The last of two that are begun in one second bears the next one's name, and whoever asks may have another clock; what is further ahead
 * is of a clock that was wrong.
 */
const aheadMs = 60_000;

/** Whether a time comes after `now`: it was taken when the clock was wrong, and says nothing of how long ago that was. */
export function isAhead(time: Date | string, now: Date): boolean {
  return new Date(time).getTime() > now.getTime() + aheadMs;
}

/** Backups, or drills, that are not dated in the future, in their order: only of those the last is the newest. Pure. */
export function past<T extends { readonly startedAt: Date | string }>(all: readonly T[], now: Date): readonly T[] {
  return all.filter(({ startedAt }) => !isAhead(startedAt, now));
}
