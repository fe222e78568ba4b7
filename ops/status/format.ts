import { isAhead } from "../../agent/past";

/** `12 MB`, as PostgreSQL's pg_size_pretty. */
export function bytes(value: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"] as const;
  const power = Math.max(
    0,
    units.findLastIndex((_, exponent) => value >= 10 * 1024 ** exponent && exponent > 0),
  );
  return `${Math.round(value / 1024 ** power)} ${units[power] ?? "bytes"}`;
}

const datedAhead = "dated in the future";

/** `3 d 4 h`, `12 min`, `40 s` since a time in ISO 8601; of one that is to come, as after a clock that was wrong, that it is. */
export function since(start: string): string {
  const now = new Date();
  return isAhead(start, now) ? datedAhead : duration((now.getTime() - Date.parse(start)) / 1000);
}

/** `12 min ago`; see {@link since}. */
export function ago(start: string): string {
  const age = since(start);
  return age === datedAhead ? age : `${age} ago`;
}

/** Whether a time in ISO 8601 is less than so many hours ago; one that is to come is not, nor is none. */
export function isYounger(time: string | null | undefined, hours: number): boolean {
  const now = new Date();
  if (time === null || time === undefined || isAhead(time, now)) return false;
  return now.getTime() - Date.parse(time) < hours * 3_600_000;
}

/** `3 d 4 h`, `12 min`, `40 s`. */
export function duration(exact: number): string {
  const seconds = Math.max(0, Math.round(exact));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole days from now on; negative when it is over. */
export function daysUntil(end: string): number {
  return Math.floor((Date.parse(end) - Date.now()) / 86_400_000);
}
