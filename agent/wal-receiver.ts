import { setTimeout as sleep } from "node:timers/promises";
import { BackupFailure, inALine } from "./failure";
import { findPrimary } from "./server";
import { readSettings, type Places } from "./settings";
import { runTool, settled, startTool } from "./tool";
import type { WalArchive } from "./wal-archive";
import { watchReceiver, type WalPosition } from "./wal-watch";

/** How it goes with the WAL, for metrics and health. */
export interface Receiving {
  /** Since when it streams; undefined while it does not. */
  readonly since: Date | undefined;
  /** Why it does not. */
  readonly why: string;
  /** undefined where the primary was not asked yet, or did not answer. */
  readonly position?: WalPosition | undefined;
}

export interface ReceiverOptions {
  readonly places: Places;
  readonly archive: WalArchive;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  readonly onChange: (state: Receiving) => void;
}

const pauseMs = 2_000;

/**
 * Streams WAL from whichever server is the primary, through a slot, for ever. Where the slot is gone or has lost its WAL a new
 * stretch of the archive begins, with a slot of its own.
 */
export async function receiveWal({ places, archive, signal, say, onChange }: ReceiverOptions): Promise<void> {
  let told = "nothing yet";
  while (!signal.aborted) {
    try {
      const settings = readSettings(places);
      const primary = await findPrimary(settings, places);
      // A primary that is gone without a word ends it.
      const to = `host=${primary.host} user=repl keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=30000`;
      const slot = [`--dbname=${to}`, `--slot=${settings.slot}`, "--no-password"];
      await runTool("pg_receivewal", [...slot, "--create-slot", "--if-not-exists"], { places, signal });
      const { folder } = await archive.current(primary.systemIdentifier);
      await receive([...slot, `--directory=${folder}`], { places, signal }, (state) => {
        if (told !== "") say(`receiving WAL of ${primary.host}`);
        told = "";
        onChange(state);
      });
    } catch (error) {
      const why = inALine(error);
      if (isAborted(signal)) return;
      onChange({ since: undefined, why });
      if (why !== told) say(`no WAL is received: ${why}`);
      told = why;
      if (isLost(why)) {
        await startAnew({ places, archive, signal, say }).catch((error: unknown) => {
          say(`no new stretch of WAL begins: ${inALine(error)}`);
        });
      }
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Runs the receiver until it ends, or is ended because it stands still. What the primary says of it is told: that it was started means
 * nothing.
 * @throws BackupFailure with its own words
 */
async function receive(
  to: readonly string[],
  { places, signal }: Pick<ReceiverOptions, "places" | "signal">,
  onReceived: (state: Receiving) => void,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const args = [...to, "--no-loop", "--status-interval=5"];
  const receiving = settled("pg_receivewal", startTool("pg_receivewal", args, { places, signal: either }));
  const since = new Date();
  const watching = watchReceiver(places, either, (position) => {
    if (typeof position?.written === "string") onReceived({ since, why: "", position });
  });
  const stoodStill = await Promise.race([receiving.then(() => false), watching]).finally(() => over.abort());
  await receiving.catch(() => undefined);
  throw new BackupFailure(stoodStill ? "pg_receivewal stood still, and is started anew" : "pg_receivewal has ended");
}

/** It may have changed while something was awaited. */
const isAborted = (signal: AbortSignal) => signal.aborted;

/** What was to come next is nowhere any more. */
export function isLost(why: string): boolean {
  return /has already been removed|can no longer get changes|was invalidated|is ahead of the WAL flush position|is not in this server's history|timeline \d+ is not present in the server/.test(
    why,
  );
}

async function startAnew({
  places,
  archive,
  signal,
  say,
}: Pick<ReceiverOptions, "places" | "archive" | "signal" | "say">): Promise<void> {
  const settings = readSettings(places);
  const primary = await findPrimary(settings, places);
  const to = `--dbname=host=${primary.host} user=repl`;
  await runTool("pg_receivewal", [to, `--slot=${settings.slot}`, "--drop-slot", "--no-password"], {
    places,
    signal,
  }).catch((error: unknown) => {
    say(`the slot stays: ${inALine(error)}`);
  });
  await archive.begin(primary.systemIdentifier);
  say("WAL is missing: a new stretch of the archive begins, and wants a base backup of its own");
}
