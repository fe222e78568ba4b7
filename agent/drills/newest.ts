import { statfs } from "node:fs/promises";
import { drillLogical, drillPhysical, type DrillOptions, type DrillResult } from "../drill";
import { BackupFailure, firstOf, inALine } from "../failure";
import { past } from "../past";
import { unpackedBytes } from "../restore/base";
import { backupKinds, type BackupKind } from "../schedule";
import { readSettings, type AgentSettings } from "../settings";
import { Store, type Stored } from "../store";
import { stretchOf, WalArchive } from "../wal-archive";
import { verdictsOf, type DrillFinding } from "./findings";
import type { BackupDrill, Drill, UnderWay } from "./results";
import { isWell } from "./schedule";

type Newest = Readonly<Record<BackupKind, Stored>>;

/**
 * Restores the newest backup of each kind into servers of its own, and tells what it finds.
 * @throws BackupFailure where a kind has no backup, or there are no settings; Error where the signal ends it
 */
export async function drillNewest(options: DrillOptions): Promise<Drill> {
  const startedAt = new Date();
  const settings = readSettings(options.places);
  const newest = newestOfEach(new Store(options.places.store).list().backups, startedAt);
  const backups: BackupDrill[] = [];
  for (const kind of backupKinds) backups.push(await drillOne(kind, newest, settings, options));
  const drill = {
    format: 1,
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    backups,
  } as const;
  if (!isWell(drill)) options.say("the drill failed");
  return drill;
}

/** What is kept of drills that were killed: else one that always is would count as one that is under way. */
export function killedDrill(backups: readonly Stored[], { since, killed }: UnderWay, now: Date): Drill {
  const what = `the drill was killed ${killed} times before its end, and has found nothing out (docker inspect and logs may have why)`;
  const ofKind = (kind: BackupKind): BackupDrill => ({
    ...{ kind, backup: newestOf(kind, backups, now)?.id ?? "none", startedAt: since },
    ...{ wrong: [what], verdicts: verdictsOf([{ service: null, what }]), seconds: null, lostSeconds: null },
  });
  return { format: 1, startedAt: since, finishedAt: now.toISOString(), backups: backupKinds.map(ofKind) };
}

function newestOf(kind: BackupKind, backups: readonly Stored[], now: Date): Stored | undefined {
  return past(backups, now).findLast((backup) => backup.kind === kind);
}

/** @throws BackupFailure where a kind has none */
function newestOfEach(backups: readonly Stored[], now: Date): Newest {
  const find = (kind: BackupKind) => {
    const found = newestOf(kind, backups, now);
    if (found === undefined) throw new BackupFailure(`there is no ${kind} backup to restore`);
    return found;
  };
  return { logical: find("logical"), physical: find("physical") };
}

async function drillOne(
  kind: BackupKind,
  newest: Newest,
  settings: AgentSettings,
  options: DrillOptions,
): Promise<BackupDrill> {
  const backup = newest[kind];
  const startedAt = new Date().toISOString();
  const drilling = async () => {
    await requireRoom(newest.physical, options.scratch);
    if (kind === "logical") return drillLogical(backup, settings, options);
    const stretch = stretchOf(backup, new WalArchive(options.places.store).stretches());
    return drillPhysical(backup, stretch, settings, options);
  };
  // One that cannot be tried at all keeps nobody from the other.
  const {
    wrong = [],
    seconds,
    lostSeconds,
  } = await drilling().catch((error: unknown): Partial<DrillResult> => {
    options.signal?.throwIfAborted();
    return { wrong: [{ service: null, what: inALine(error) }] };
  });
  options.signal?.throwIfAborted();
  const result: BackupDrill = {
    ...{ kind, backup: backup.id, startedAt },
    wrong: wrong.map(({ what }) => what),
    verdicts: verdictsOf(wrong),
    seconds: seconds ?? null,
    lostSeconds: lostSeconds === undefined ? null : Math.max(0, lostSeconds),
  };
  for (const line of toldOf(wrong)) options.say(`${result.backup}: ${line}`);
  options.say(renderResult(result));
  return result;
}

/** Of each service by itself: who waits for this, as a retirement does, reads no more than so much. */
export function toldOf(wrong: readonly DrillFinding[]): readonly string[] {
  return verdictsOf(wrong).flatMap(({ service }) => {
    const its = wrong.filter((one) => one.service === service).map(({ what }) => what);
    return firstOf(its, service ?? "no service");
  });
}

/** `20261129T020000Z-logical: restored, and what it was; it took 12.3 s` */
export function renderResult({ backup, wrong, seconds, lostSeconds }: BackupDrill): string {
  const verdict = wrong.length === 0 ? "restored, and what it was" : "NOT what it was";
  const took = seconds === null ? "" : `; it took ${seconds.toFixed(1)} s`;
  const lost = lostSeconds === null ? "" : `; without both servers the last ${lostSeconds.toFixed(0)} s would be lost`;
  return `${backup}: ${verdict}${took}${lost}`;
}

/** The servers are on the same disk: as much as the last copy of one has unpacked, a fifth more, and the WAL a server of its own keeps. */
async function requireRoom(base: Stored, scratch: string): Promise<void> {
  const needed = (await unpackedBytes(base)) * 1.2 + 1024 ** 3;
  const { bavail, bsize } = await statfs(scratch);
  const mib = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
  const free = bavail * bsize;
  if (free < needed) throw new BackupFailure(`${mib(free)} are free for a drill, and ${mib(needed)} may be needed`);
}
