import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Places } from "../settings";

/** What is in the second copy, and how it goes with it; `copy.json` in the store. */
export interface CopyState {
  /** Where it is, as the stack's file says it; another place begins from nothing. */
  readonly to: string;
  /** Ids of the backups that are there, compared byte by byte. */
  readonly backups: readonly string[];
  /** By folder of the archive, the last complete segment of WAL that is there. */
  readonly wal: Readonly<Record<string, string>>;
  /** When everything there was to copy was there last, in ISO 8601. */
  readonly completeAt: string | null;
  readonly failed: { readonly why: string; readonly at: string } | null;
}

/** @returns undefined where there is none, or half of one: what is there is found there */
export function readCopyState(places: Places): CopyState | undefined {
  try {
    return JSON.parse(readFileSync(stateFile(places), "utf8")) as CopyState;
  } catch {
    return undefined;
  }
}

export function writeCopyState(places: Places, state: CopyState): void {
  const file = stateFile(places);
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Where there is no second copy any more. */
export function forgetCopyState(places: Places): void {
  rmSync(stateFile(places), { force: true });
  rmSync(removedFile(places), { force: true });
}

/** Notes what was deleted here for good reason, by path in the store: only that is deleted there. */
export function noteRemoved(places: Places, paths: readonly string[]): void {
  if (paths.length > 0) appendFileSync(removedFile(places), paths.map((path) => `${path}\n`).join(""), { mode: 0o600 });
}

export function notedRemoved(places: Places): readonly string[] {
  const file = removedFile(places);
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
}

/** The first so many are deleted there; what was noted meanwhile stays. */
export function forgetRemoved(places: Places, count: number): void {
  const later = notedRemoved(places).slice(count);
  rmSync(removedFile(places), { force: true });
  noteRemoved(places, later);
}

const stateFile = ({ store }: Places) => join(store, "copy.json");
const removedFile = ({ store }: Places) => join(store, "removed");
