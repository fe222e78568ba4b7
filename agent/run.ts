import { BackupFailure } from "./failure";
import { dumpInto } from "./logical";
import type { Manifest } from "./manifest";
import { past } from "./past";
import { copyInto, sourceOf } from "./physical";
import { expired } from "./retention";
import { dueClasses, type BackupClass, type BackupKind } from "./schedule";
import { findPrimary, findServers, type FoundServer } from "./server";
import { noteRemoved } from "./copy/state";
import { readSettings, type AgentSettings, type Places } from "./settings";
import { filesOf, type Store, type Stored } from "./store";

export interface RunOptions {
  readonly places: Places;
  readonly store: Store;
  readonly signal?: AbortSignal;
  /** Progress, a line each. */
  readonly say: (line: string) => void;
}

/** What a schedule that was wrong by more would delete is not the schedule's to delete. */
const maxClockSkewSeconds = 300;
const maxPauseDays = 7;
const dayMs = 24 * 3600 * 1000;

/**
 * One backup: made, proven, and only then in the store. Whatever fails leaves nothing that looks like one.
 * @param asked also where no class is due
 * @returns undefined where none is due
 * @throws BackupFailure
 */
export async function runBackup(
  kind: BackupKind,
  asked: boolean,
  { places, store, signal, say }: RunOptions,
): Promise<Stored | undefined> {
  const settings = readSettings(places);
  const now = new Date();
  const due = dueClasses(kind, store.list().backups, now, settings.timeZone);
  const classes: readonly BackupClass[] = due.length > 0 ? due : kind === "logical" ? ["daily"] : ["weekly"];
  if (due.length === 0 && !asked) return undefined;

  const primary = await findPrimary(settings, places);
  const server = kind === "physical" ? sourceOf(await findServers(settings, places), primary) : primary;
  // Before there must be room: what nobody needs any more would keep it from being there for ever.
  await removeExpired({ places, store, say }, settings, primary);
  await requireSpace(kind, primary.databaseBytes, store, now);
  say(`${kind} backup of ${server.host} for ${classes.join(", ")}`);
  const { id, folder, startedAt } = await store.begin(kind, now);
  try {
    const options = { places, say, ...(signal === undefined ? {} : { signal }) };
    const make = kind === "logical" ? dumpInto : copyInto;
    const { toolSeconds, ...made } = await make(folder, server, settings, options);
    if (!isOfVersion(made.tool, server.version)) {
      throw new BackupFailure(`${made.tool} is not of the server's version, ${server.version}`);
    }
    const files = await filesOf(folder);
    const finishedAt = new Date();
    const { host, version, systemIdentifier, timeline } = server;
    const manifest: Manifest = {
      ...{ format: 1, id, kind, classes, startedAt: startedAt.toISOString(), finishedAt: finishedAt.toISOString() },
      seconds: { tools: toolSeconds, proof: (finishedAt.getTime() - startedAt.getTime()) / 1000 - toolSeconds },
      server: { host, version, systemIdentifier, timeline },
      ...made,
      files,
      registrySha256: settings.registrySha256,
      accessSha256: settings.accessSha256,
    };
    await store.finish(folder, manifest);
  } catch (error) {
    store.abandon(folder);
    throw error;
  }
  const stored = store.list().backups.find((backup) => backup.id === id);
  if (stored === undefined) throw new BackupFailure(`${id} is not in the store`);
  const bytes = stored.manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  say(`${id} is proven: ${(bytes / 1024 ** 2).toFixed(1)} MiB`);
  await removeExpired({ places, store, say }, settings, primary);
  return stored;
}

/** `pg_dump (PostgreSQL) 16.14`, and what a packager has added: of 16.14, and not of 16.1. */
export function isOfVersion(tool: string, version: string): boolean {
  return /\(PostgreSQL\) (\S+)/.exec(tool)?.[1] === version;
}

async function removeExpired(
  { places, store, say }: RunOptions,
  { retentionDays, services }: AgentSettings,
  primary: FoundServer,
): Promise<void> {
  const now = new Date();
  const { backups } = store.list();
  const gone = expired(backups, retentionDays, services, now);
  if (gone.length === 0) return;
  if (Math.abs(primary.clockAheadSeconds) > maxClockSkewSeconds) {
    say(`nothing old is deleted: this clock is ${primary.clockAheadSeconds.toFixed(0)} s ahead of the server's`);
    return;
  }
  // Server and agent may have one clock, and that may have jumped: what nobody has made for weeks is not old yet.
  const newest = past(backups, now).at(-1);
  const days = newest === undefined ? 0 : (now.getTime() - newest.startedAt.getTime()) / dayMs;
  if (days > maxPauseDays) {
    say(`nothing old is deleted: the newest backup is ${days.toFixed(0)} days old, by this clock`);
    return;
  }
  for (const backup of gone) {
    await store.remove(backup);
    noteRemoved(places, [`backups/${backup.id}`]);
    say(`${backup.id} is deleted: older than ${backup.classes.join(", ")} backups are kept`);
  }
}

/** As much as the last one of its kind took and half of it again; the first, and what is unpacked to be proven, as the database is. */
async function requireSpace(kind: BackupKind, databaseBytes: number, store: Store, now: Date): Promise<void> {
  const last = past(store.list().backups, now).findLast((backup) => backup.kind === kind);
  const stored = last?.manifest.files.reduce((sum, { bytes }) => sum + bytes, 0) ?? databaseBytes;
  const needed = stored * 1.5 + (kind === "physical" ? databaseBytes * 1.2 : 0) + 64 * 1024 ** 2;
  const free = await store.freeBytes();
  const mib = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
  if (free < needed) throw new BackupFailure(`${mib(free)} are free in the store, and ${mib(needed)} may be needed`);
}
