/** Where a node has its data volume; its data directory is `pgdata` in it. */
export const dataMount = "/var/lib/postgresql/data";

/** A data directory that is restored beside the current one, in the same volume. */
export const restoredFolder = "pgdata_restored";

/** Begin of the names under which data directories are kept that were the current one before. */
export const keptPrefix = "pgdata_before_";

/** Beside them: what is restored, and how far it is; see RestoreNote of ops/restore/note.ts. */
export const noteFile = "restore.json";

/** The container a restore is looked at in. */
export function restoreContainer(nodeContainer: string): string {
  return `${nodeContainer}-restore`;
}
