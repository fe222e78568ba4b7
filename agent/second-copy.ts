import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BackupFailure, inALine } from "./failure";
import { readSettings, stateFolder, type Places } from "./settings";
import type { Store, Stored } from "./store";
import { runTool } from "./tool";
import type { WalArchive } from "./wal-archive";

/** What is in the second copy, and how it goes with it; `copy.json` in the store. */
export interface CopyState {
  /** Where it is; another place begins from nothing. */
  readonly to: string;
  /** Ids of the backups that are there, compared byte by byte. */
  readonly backups: readonly string[];
  /** By folder of the archive, the last complete segment of WAL that is there. */
  readonly wal: Readonly<Record<string, string>>;
  /** When everything there was to copy was there last, in ISO 8601. */
  readonly completeAt: string | null;
  readonly failed: { readonly why: string; readonly at: string } | null;
}

interface CopyOptions {
  readonly places: Places;
  readonly store: Store;
  readonly archive: WalArchive;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Between two copies: as much WAL is lost with this machine, and what takes longer to arrive. */
const pauseMs = 30_000;
/** Between two looks for a new backup, or another place, which is copied at once. */
const lookMs = 5_000;

/** Copies what is new until the signal. A copy that fails is tried again, and keeps nothing else from being made. */
export async function keepSecondCopy(options: CopyOptions): Promise<void> {
  let told = "";
  while (!options.signal.aborted) {
    const why = await copyWhatIsNew(options).then(
      () => "",
      (error: unknown) => inALine(error),
    );
    if (isAborted(options.signal)) return;
    if (why !== told && why !== "") options.say(`the second copy fails: ${why}`);
    if (told !== "" && why === "") options.say("the second copy is complete again");
    told = why;
    const next = Date.now() + pauseMs;
    while (!isAborted(options.signal) && Date.now() < next && (why !== "" || !hasNew(options))) {
      await sleep(lookMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}

function hasNew({ places, store }: CopyOptions): boolean {
  const state = readCopyState(places);
  const { copyTo } = readSettings(places);
  if (copyTo !== (state?.to ?? null)) return true;
  return state !== undefined && store.list().backups.some(({ id }) => !state.backups.includes(id));
}

/** It may have changed while something was awaited. */
const isAborted = (signal: AbortSignal) => signal.aborted;

/** @returns undefined where there is none */
export function readCopyState(places: Places): CopyState | undefined {
  const file = stateFile(places);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as CopyState) : undefined;
}

/** Notes what was deleted here for good reason, by path in the store: only that is deleted there. */
export function noteRemoved(places: Places, paths: readonly string[]): void {
  if (paths.length > 0) appendFileSync(removedFile(places), paths.map((path) => `${path}\n`).join(""), { mode: 0o600 });
}

/** @throws BackupFailure with rclone's words; the state has what was done before */
export async function copyWhatIsNew(options: CopyOptions): Promise<void> {
  const { places, signal } = options;
  const { copyTo } = readSettings(places);
  if (copyTo === null) {
    rmSync(stateFile(places), { force: true });
    rmSync(removedFile(places), { force: true });
    return;
  }
  const known = readCopyState(places);
  let state: CopyState =
    known?.to === copyTo ? known : { to: copyTo, backups: [], wal: {}, completeAt: null, failed: null };
  const change = (changed: Partial<CopyState>) => {
    state = { ...state, ...changed };
    write(stateFile(places), state);
  };
  try {
    for (const backup of options.store.list().backups) {
      if (state.backups.includes(backup.id)) continue;
      await copyBackup(backup, copyTo, options);
      change({ backups: [...state.backups, backup.id] });
    }
    for (const { folder, segments } of options.archive.stretches()) {
      const name = folder.slice(folder.lastIndexOf("/") + 1);
      const complete = segments.filter(({ compressed }) => compressed).map((segment) => segment.name);
      const fresh = complete.filter((segment) => segment > (state.wal[name] ?? ""));
      const last = fresh.toSorted().at(-1);
      // What still grows, and the histories of timelines, are small and come again each time they change.
      const growing = readdirSync(folder).filter((entry) => /\.(partial|history)(\.gz)?$/.test(entry));
      await copyFiles(folder, `${copyTo}/wal/${name}`, growing, options);
      await copyFiles(
        folder,
        `${copyTo}/wal/${name}`,
        fresh.map((segment) => `${segment}.gz`),
        options,
      );
      await compareFiles(
        folder,
        `${copyTo}/wal/${name}`,
        fresh.map((segment) => `${segment}.gz`),
        options,
      );
      if (last !== undefined) change({ wal: { ...state.wal, [name]: last } });
    }
    if (existsSync(stateFolder(places))) {
      const files = readdirSync(stateFolder(places));
      await copyFiles(stateFolder(places), `${copyTo}/state`, files, options);
      await compareFiles(stateFolder(places), `${copyTo}/state`, files, options);
    }
    await removeThere(copyTo, options, (removed) =>
      change({ backups: state.backups.filter((id) => !removed.includes(`backups/${id}`)) }),
    );
    change({ completeAt: new Date().toISOString(), failed: null });
  } catch (error) {
    if (!signal.aborted) change({ failed: { why: inALine(error), at: new Date().toISOString() } });
    throw error;
  }
}

/** The manifest comes last: what was not copied to its end has none, there as here. */
async function copyBackup({ id, folder, manifest }: Stored, copyTo: string, options: CopyOptions): Promise<void> {
  const files = manifest.files.map(({ name }) => name);
  const there = `${copyTo}/backups/${id}`;
  await copyFiles(folder, there, files, options);
  await compareFiles(folder, there, files, options);
  await copyFiles(folder, there, ["manifest.json"], options);
  await compareFiles(folder, there, ["manifest.json"], options);
  options.say(`${id} is in the second copy`);
}

const copyFiles = (from: string, to: string, files: readonly string[], options: CopyOptions) =>
  rclone(["copy", "--no-traverse", from, to], files, options);

/** Reads both: a remote's own word for what it has is not asked. */
const compareFiles = (from: string, to: string, files: readonly string[], options: CopyOptions) =>
  rclone(["check", "--download", "--one-way", from, to], files, options);

async function removeThere(
  copyTo: string,
  options: CopyOptions,
  onRemoved: (paths: readonly string[]) => void,
): Promise<void> {
  const file = removedFile(options.places);
  const noted = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
  if (noted.length === 0) return;
  for (const path of noted.filter((one) => one.startsWith("backups/"))) {
    await rclone(["purge", `${copyTo}/${path}`], undefined, options).catch((error: unknown) => {
      if (!inALine(error).includes("directory not found")) throw error;
    });
  }
  await rclone(
    ["delete", copyTo],
    noted.filter((one) => one.startsWith("wal/")),
    options,
  );
  onRemoved(noted);
  // What was noted meanwhile stays.
  const later = readFileSync(file, "utf8").split("\n").filter(Boolean).slice(noted.length);
  rmSync(file);
  noteRemoved(options.places, later);
}

/** @param files of which it is about, by path below the first folder; undefined: the command says it */
async function rclone(
  args: readonly string[],
  files: readonly string[] | undefined,
  { places, signal }: CopyOptions,
): Promise<void> {
  if (files?.length === 0) return;
  const list = `${places.store}/copy.files`;
  const chosen = files === undefined ? [] : [`--files-from-raw=${list}`];
  if (files !== undefined) writeFileSync(list, files.map((file) => `${file}\n`).join(""), { mode: 0o600 });
  try {
    const config = `--config=${places.store}/rclone.conf`;
    await runTool("rclone", [...args, ...chosen, config, "--retries=2", "--stats=0", "--log-level=ERROR"], {
      places,
      signal,
    });
  } catch (error) {
    // The first line says what failed, the last one only how often.
    throw error instanceof BackupFailure
      ? new BackupFailure(error.message.replaceAll(/\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /g, ""))
      : error;
  }
}

const stateFile = ({ store }: Places) => join(store, "copy.json");
const removedFile = ({ store }: Places) => join(store, "removed");

function write(file: string, state: CopyState): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
