import { existsSync } from "node:fs";
import { appendFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dataMount, restoredFolder } from "../../components/backup/restore-files";
import { BackupFailure } from "../failure";
import { runTool, type ToolOptions } from "../tool";
import { parseLsn, segmentNumber } from "../wal-position";
import { lacksRoom, mib, unpackBase, unpackedBytes } from "./base";
import {
  describeTarget,
  precedes,
  recoverySettings,
  refusal,
  severalHistories,
  shortXid,
  transactionRange,
  waysTo,
  type RecoveryTarget,
  type TransactionRange,
  type Way,
} from "./point";
import {
  askReplay,
  controlData,
  pauseReplay,
  startRestored,
  type Replay,
  type RestoredServer,
} from "./restored-server";
import { Unseen } from "./unseen";

/** The last line the container prints, as JSON: it can be looked at, or has failed. */
export type Told = Shown | { readonly failed: string };

/** What is shown of a restore that can be looked at. */
export interface Shown {
  /** false where its recovery is over: PostgreSQL lets nobody in before, it was promoted, or is a directory that was kept. */
  readonly paused: boolean;
  readonly lsn: string | null;
  /** Of the last transaction that is in; null where none was replayed. */
  readonly committedAt: string | null;
}

export interface RecoverOptions extends ToolOptions {
  /** Container name of the node whose volume it is in. */
  readonly node: string;
  /** Progress, a line each. */
  readonly say: (line: string) => void;
}

const lookMs = 200;
const progressMs = 5_000;
const restored = join(dataMount, restoredFolder);
/** In the container: it may be started again. */
const reached = "/tmp/centraldb-reached";
/** Under its own name only when it is whole. */
const unfinished = `${restored}.unfinished`;

/**
 * Restores to a target beside the current data directory, and runs it, paused there where PostgreSQL can. Goes on with what is there of an earlier run.
 * @returns the server, when it can be looked at
 * @throws BackupFailure where the target cannot be reached, with what can; nothing of it is left then
 */
export async function recoverTo(
  target: RecoveryTarget,
  ways: readonly Way[],
  options: RecoverOptions,
): Promise<{ readonly server: RestoredServer; readonly shown: Shown }> {
  if (existsSync(reached)) return runRestored(options);
  // What was killed on its way begins anew.
  await rm(restored, { recursive: true, force: true });
  const [first, ...others] = waysTo(target, ways);
  if (first === undefined) throw new BackupFailure(refusal(target, ways));
  const histories = severalHistories(target, ways);
  if (histories !== undefined) options.say(histories);
  let why = "";
  // Stretches of WAL that do not lead there, from whatever base.
  const vain = new Set<string>();
  for (const way of [first, ...others]) {
    if (vain.has(way.stretch)) continue;
    await unpack(way, target, options);
    const range = transactionRange(await controlData(restored, options));
    if (target.kind === "xid" && precedes(shortXid(target.at), range.oldestActive)) {
      why = `it was over before ${way.base}: ${isOlder}`;
    } else {
      const server = await startRestored(restored, options.node, options);
      const end = await replay(server, target, { ...way, range }, options);
      if (typeof end !== "string") {
        await writeFile(reached, "");
        return { server, shown: shownOf(end) };
      }
      why = end;
      if (server.isRunning()) await server.stop();
    }
    await rm(restored, { recursive: true });
    if (others.length > 0) options.say(`not from ${way.base}: ${why}`);
    if (!why.includes(isOlder)) vain.add(way.stretch);
  }
  throw new BackupFailure(refusal(target, ways, why));
}

/** What is there already: paused again, or a server as any other. */
export async function runRestored(
  options: RecoverOptions,
): Promise<{ readonly server: RestoredServer; readonly shown: Shown }> {
  const server = await startRestored(restored, options.node, options);
  const unseen = new Unseen(server);
  for (;;) {
    const found = await askReplay();
    if (found !== undefined && (!found.recovering || found.pause === "paused"))
      return { server, shown: shownOf(found) };
    if (unseen.after(found) !== undefined && server.isConsistent()) await server.promote();
    // One that was held at the end of the WAL.
    if (found?.waits === true) {
      await pauseReplay();
      continue;
    }
    if (!server.isRunning()) throw new BackupFailure(`the restored server does not start: ${server.fault()}`);
    if (options.signal?.aborted === true) {
      await server.stop();
      throw new BackupFailure("it was stopped");
    }
    await sleep(lookMs);
  }
}

async function unpack(way: Way, target: RecoveryTarget, options: RecoverOptions): Promise<void> {
  const { base, to, walBytes } = way;
  const bytes = await unpackedBytes(way);
  await rm(unfinished, { recursive: true, force: true });
  const free = await freeBytes();
  const lacking = lacksRoom(base, bytes, walBytes, free);
  if (lacking !== undefined) throw new BackupFailure(lacking);
  options.say(`to ${describeTarget(target)} from ${base} (${mib(bytes)}), and WAL to ${to.time.toISOString()}`);
  const tick = setInterval(() => {
    void freeBytes().then((now) => {
      options.say(`unpacking: ${mib(Math.max(0, free - now))} of ${mib(bytes)}`);
    });
  }, progressMs);
  await unpackBase(way, unfinished, "standby.signal", options).finally(() => {
    clearInterval(tick);
  });
  await appendFile(join(unfinished, "postgresql.auto.conf"), recoverySettings(target, way));
  await runTool("sync", ["-f", unfinished], options);
  await rename(unfinished, restored);
}

async function freeBytes(): Promise<number> {
  const { bavail, bsize } = await statfs(dataMount);
  return bavail * bsize;
}

/** In a reason: another base may do. */
const isOlder = "an older base backup is needed";

type Followed = Way & { readonly range: TransactionRange };

/** Waits for the target; why it is not reached, where it is not. */
async function replay(
  server: RestoredServer,
  target: RecoveryTarget,
  way: Followed,
  options: RecoverOptions,
): Promise<Replay | string> {
  let said = performance.now();
  const unseen = new Unseen(server);
  for (let before: Replay | undefined; ;) {
    await sleep(lookMs);
    const found = await askReplay();
    const state = unseen.after(found);
    // Where its primary had more of a setting than it has, PostgreSQL holds it too, and says so.
    if (found?.pause === "paused") return server.held() === "" ? found : server.held();
    // Where it lets nobody in yet, PostgreSQL does not pause at a target: it ends the recovery there.
    if (found?.recovering === false) return found;
    if (state === "at the target") {
      await server.promote();
      continue;
    }
    if (state === "at the end") return unseenEnd(server, target, way);
    if (!server.isRunning()) return endedBecause(server.fault());
    if (options.signal?.aborted === true) return "it was stopped";
    if (found?.waits === true && before?.waits === true && found.lsn === before.lsn) {
      return atEndOfWal(found, target, way);
    }
    before = found;
    if (performance.now() - said < progressMs) continue;
    said = performance.now();
    options.say(found === undefined ? `recovering to the end of ${way.base}` : `recovering: ${describeReplay(found)}`);
  }
}

/** The end of the WAL, where nobody can be let in before the recovery is ended too. */
async function unseenEnd(server: RestoredServer, target: RecoveryTarget, way: Followed): Promise<Replay | string> {
  if (!server.isConsistent())
    return "the WAL ends before the base backup is whole: npm run ops -- backup verify names what is wrong";
  if (target.kind === "lsn" || target.kind === "xid")
    return `nobody can look for it while a transaction of the base backup's time is open: ${isOlder}, or --to-latest`;
  await server.promote();
  const found = await askReplay();
  if (found === undefined) return "the restored server does not answer any more";
  return shortness(found, way) ?? found;
}

function endedBecause(fault: string): string {
  return fault.includes("before consistent recovery point") ? `it is in the base backup already: ${isOlder}` : fault;
}

/** All that was received is replayed: for a time later than its last transaction, and for all of it, that is the target. */
async function atEndOfWal(found: Replay, target: RecoveryTarget, way: Followed): Promise<Replay | string> {
  const short = shortness(found, way);
  const { lsn } = found;
  if (short !== undefined || lsn === null) return short ?? "nothing was replayed";
  // Exactly there it ends: what would be the next record is none.
  const isThere = target.kind === "lsn" && parseLsn(lsn) >= parseLsn(target.at);
  if (target.kind === "lsn" && !isThere) return `the last record that was received ends at LSN ${lsn}`;
  if (target.kind === "xid") {
    const end = `its end is in no WAL to LSN ${lsn}`;
    return precedes(shortXid(target.at), way.range.next) ? `${end}: ${isOlder}` : end;
  }
  await pauseReplay();
  return (await askReplay()) ?? "the restored server does not answer any more";
}

/** Why it is not all that was received, where it is not. */
function shortness({ lsn }: Replay, { to }: Followed): string | undefined {
  // The newest segment may have been begun and hold nothing whole yet.
  if (lsn !== null && segmentNumber(lsn) >= to.segment - 1) return undefined;
  return `the WAL cannot be read beyond LSN ${lsn ?? "0/0"}: npm run ops -- backup verify names what is wrong`;
}

function describeReplay({ lsn, committedAt }: Replay): string {
  return `LSN ${lsn ?? "–"}, last transaction of ${committedAt?.toISOString() ?? "before the base backup"}`;
}

function shownOf({ recovering, lsn, committedAt }: Replay): Shown {
  return { paused: recovering, lsn, committedAt: committedAt?.toISOString() ?? null };
}
