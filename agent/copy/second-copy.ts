import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BackupFailure, inALine } from "../failure";
import { readSettings, stateFolder, type Places } from "../settings";
import { differences, type Store, type Stored } from "../store";
import { stretchFiles, type Stretch, type WalArchive } from "../wal-archive";
import { copyAndCompare, copyFiles, filesThere, rclone } from "./rclone";
import { forgetCopyState, forgetRemoved, notedRemoved, readCopyState, writeCopyState, type CopyState } from "./state";

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
  while (!isAborted(options)) {
    const why = await copyWhatIsNew(options).then(
      () => "",
      (error: unknown) => inALine(error),
    );
    if (isAborted(options)) return;
    if (why !== told && why !== "") options.say(`the second copy fails: ${why}`);
    if (told !== "" && why === "") options.say("the second copy is complete again");
    told = why;
    const next = performance.now() + pauseMs;
    while (!isAborted(options) && performance.now() < next && (why !== "" || !hasNew(options))) {
      await sleep(lookMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}

/** It may have changed while something was awaited. */
const isAborted = ({ signal }: CopyOptions) => signal.aborted;

function hasNew({ places, store }: CopyOptions): boolean {
  try {
    const state = readCopyState(places);
    const { copy } = readSettings(places);
    if ((copy?.name ?? null) !== (state?.to ?? null)) return true;
    return state !== undefined && store.list().backups.some(({ id }) => !state.backups.includes(id));
  } catch {
    return false; // the copy itself says why
  }
}

/** @throws BackupFailure with rclone's words; the state has what was done before */
async function copyWhatIsNew(options: CopyOptions): Promise<void> {
  const { places, store, archive } = options;
  const { copy } = readSettings(places);
  if (copy === null) {
    forgetCopyState(places);
    return;
  }
  const known = readCopyState(places);
  let state: CopyState =
    known?.to === copy.name ? known : { to: copy.name, backups: [], wal: {}, completeAt: null, failed: null };
  const change = (changed: Partial<CopyState>) => {
    state = { ...state, ...changed };
    writeCopyState(places, state);
  };
  try {
    requireSameFolder(copy, state);
    if (performance.now() - (lookedAt.get(copy.name) ?? -Infinity) > dayMs) {
      change(await stillThere(copy.to, state, options));
      lookedAt.set(copy.name, performance.now());
    }
    for (const backup of store.list().backups) {
      if (state.backups.includes(backup.id)) continue;
      await copyBackup(backup, `${copy.to}/backups/${backup.id}`, options);
      change({ backups: [...state.backups, backup.id] });
    }
    for (const stretch of archive.stretches()) {
      const name = nameOf(stretch);
      const last = await copyWal(stretch, `${copy.to}/wal/${name}`, state.wal[name] ?? "", options);
      if (last !== undefined) change({ wal: { ...state.wal, [name]: last } });
    }
    if (existsSync(stateFolder(places))) {
      const files = readdirSync(stateFolder(places));
      await copyAndCompare(stateFolder(places), `${copy.to}/state`, files, options);
    }
    const removed = await removeThere(copy.to, options);
    change({
      backups: state.backups.filter((id) => !removed.includes(`backups/${id}`)),
      ...{ completeAt: new Date().toISOString(), failed: null },
    });
  } catch (error) {
    if (!isAborted(options)) change({ failed: { why: inALine(error), at: new Date().toISOString() } });
    throw error;
  }
}

const nameOf = ({ folder }: Stretch) => folder.slice(folder.lastIndexOf("/") + 1);

/** A folder that is not mounted is an empty one of the engine's own disk; what comes back may be another, or lack something. */
function requireSameFolder({ to, name }: { readonly to: string; readonly name: string }, { backups }: CopyState): void {
  if (!to.startsWith("/")) return;
  const marker = join(to, ".centraldb-copy");
  if (existsSync(marker)) return;
  if (backups.length > 0) {
    lookedAt.delete(name);
    throw new BackupFailure(
      "the folder is not the one that was copied to (is it mounted? what is mounted later " +
        "this container has when it is started again); with a file .centraldb-copy in it it is taken",
    );
  }
  writeFileSync(marker, "The second copy of a centraldb stack is here.\n");
}

const dayMs = 24 * 3600 * 1000;
/** By place, when it was looked at last since this process began; on a clock that nobody sets. */
const lookedAt = new Map<string, number>();

/** What of the state is there still: what somebody has deleted there is copied again. */
async function stillThere(
  to: string,
  state: CopyState,
  { store, archive, ...options }: CopyOptions,
): Promise<Pick<CopyState, "backups" | "wal">> {
  const [backups, wal] = [await filesThere(`${to}/backups`, options), await filesThere(`${to}/wal`, options)];
  const isWhole = ({ id, manifest }: Stored) =>
    [...manifest.files.map(({ name }) => name), "manifest.json"].every((name) => backups.has(`${id}/${name}`));
  const whole = store.list().backups.filter(isWhole);
  const last = (stretch: Stretch) => {
    const name = nameOf(stretch);
    const known = stretch.segments.map((segment) => segment.name).filter((one) => one <= (state.wal[name] ?? ""));
    const gone = known.findIndex((segment) => !wal.has(`${name}/${segment}.gz`));
    return [name, known[gone < 0 ? known.length - 1 : gone - 1] ?? ""] as const;
  };
  return {
    backups: state.backups.filter((id) => whole.some((backup) => backup.id === id)),
    wal: Object.fromEntries(archive.stretches().map(last)),
  };
}

/**
 * What is copied is what was proven: it is read once more before. The manifest comes last: what was not copied to its end has none,
 * there as here.
 */
async function copyBackup(backup: Stored, to: string, options: CopyOptions): Promise<void> {
  const { id, folder, manifest } = backup;
  const flaws = await differences(backup);
  options.store.mark(backup, flaws);
  if (flaws.length > 0) throw new BackupFailure(`${id} is not what was proven: ${flaws.join("; ")}`);
  const files = manifest.files.map(({ name }) => name);
  await copyAndCompare(folder, to, files, options);
  await copyAndCompare(folder, to, ["manifest.json"], options);
  options.say(`${id} is in the second copy`);
}

/** How often what still grows is copied, 16 MiB each time it has changed. */
const growingMs = 5 * 60_000;
const grownAt = new Map<string, number>();

/** @returns the last complete segment that is there now; undefined where there is no new one */
async function copyWal(
  { folder, segments }: Stretch,
  to: string,
  known: string,
  options: CopyOptions,
): Promise<string | undefined> {
  const fresh = segments.filter(({ compressed, name }) => compressed && name > known).map(({ name }) => name);
  const ending = (end: string) => fresh.map((name) => name + end);
  await copyAndCompare(folder, to, ending(".gz"), options);
  if (fresh.length > 0) await rclone(["delete", to], ending(".partial"), options);
  const entries = readdirSync(folder).filter((entry) => !entry.endsWith(".tmp"));
  const others = entries.filter((entry) => entry.endsWith(".history") || stretchFiles.includes(entry));
  await copyAndCompare(folder, to, others, options);
  if (performance.now() - (grownAt.get(to) ?? -Infinity) > growingMs) {
    // Not compared: it grows meanwhile.
    const growing = entries.filter((entry) => entry.endsWith(".partial"));
    await copyFiles(folder, to, growing, options);
    grownAt.set(to, performance.now());
  }
  return fresh.toSorted().at(-1);
}

/** @returns what was deleted here and is not there any more, by path in the store */
async function removeThere(to: string, options: CopyOptions): Promise<readonly string[]> {
  const removed = notedRemoved(options.places);
  if (removed.length === 0) return [];
  for (const path of removed.filter((one) => one.startsWith("backups/"))) {
    await rclone(["purge", `${to}/${path}`], undefined, options).catch((error: unknown) => {
      if (!inALine(error).includes("directory not found")) throw error;
    });
  }
  await rclone(
    ["delete", to],
    removed.filter((one) => one.startsWith("wal/")),
    options,
  );
  forgetRemoved(options.places, removed.length);
  return removed;
}
