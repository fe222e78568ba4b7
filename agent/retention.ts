import { past } from "./past";
import { backupClasses, backupKinds, type BackupClass, type BackupKind, type Made } from "./schedule";

/** A backup that was proven, as retention sees it. */
export interface Kept extends Made {
  readonly id: string;
  /** Somebody wants it for ever. */
  readonly pinned: boolean;
  /** Services that are in it; undefined where all are, as in a copy of the whole server. */
  readonly services: readonly string[] | undefined;
}

/** Days a backup is kept, by class. */
export type RetentionDays = Readonly<Record<BackupClass, number>>;

/** Of each kind and class so many are kept of every service, however old. */
export const atLeast = 2;

const day = 24 * 3600 * 1000;

/**
 * The backups nobody needs any more, oldest first. One is needed while it is younger than a class of its own is kept, or among
 * the last two of that class and kind that have a service, or pinned. One that is dated in the future, when the clock was wrong, is
 * kept, and counts for none.
 * @param services of the registry
 */
export function expired<T extends Kept>(
  backups: readonly T[],
  days: RetentionDays,
  services: readonly string[],
  now: Date,
): readonly T[] {
  const made = past(backups, now);
  const last = new Set(
    backupClasses.flatMap((backupClass) =>
      backupKinds.flatMap((kind) =>
        services.flatMap((service) => newest(made, kind, backupClass, service).slice(0, atLeast)),
      ),
    ),
  );
  return made
    .filter((backup) => {
      const age = now.getTime() - backup.startedAt.getTime();
      const isYoung = backup.classes.some((backupClass) => age < days[backupClass] * day);
      return !isYoung && !last.has(backup) && !backup.pinned;
    })
    .sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
}

/**
 * The base backups after which WAL is kept. A pin takes nothing away: only when it is all that keeps a base backup, that one has no more
 * than the WAL in itself.
 */
export function basesWithWal<T extends Kept>(
  backups: readonly T[],
  days: RetentionDays,
  services: readonly string[],
  now: Date,
): readonly T[] {
  const unpinned = backups.map((backup) => ({ ...backup, pinned: false }));
  const overdue = new Set(expired(unpinned, days, services, now).map(({ id }) => id));
  return backups.filter(({ kind, id, pinned }) => kind === "physical" && !(pinned && overdue.has(id)));
}

function newest<T extends Kept>(
  backups: readonly T[],
  kind: BackupKind,
  backupClass: BackupClass,
  service: string,
): readonly T[] {
  return backups
    .filter((backup) => backup.kind === kind && backup.classes.includes(backupClass))
    .filter((backup) => backup.services?.includes(service) ?? true)
    .sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
}
