import { setTimeout as sleep } from "node:timers/promises";
import { connectAsApp, findPrimary } from "./server";
import { readSettings, type Places } from "./settings";

/** How far the archive of WAL is. */
export interface WalPosition {
  /** `0/3000028`; null while nobody receives through the slot. */
  readonly written: string | null;
  /** Bytes the primary has written since; null while nobody receives. */
  readonly behind: number | null;
}

const lookMs = 15_000;
/** Until it is seen for the first time. */
const firstLookMs = 1_000;
/** Longer than a full disk's pause or a busy engine's, and shorter than it takes a primary to fill its disk. */
const patienceMs = 60_000;

/** Whether the receiver gets on, from looks at it. A primary that does not answer says nothing of it. */
export class Progress {
  private last: number;
  private written: string | null = null;

  /** @param begunMs on a clock that nobody sets */
  constructor(begunMs: number) {
    this.last = begunMs;
  }

  /** @returns whether it stands still for too long */
  isStalled(position: WalPosition | undefined, nowMs: number): boolean {
    if (position === undefined) return false;
    const { written, behind } = position;
    if (written !== null && (behind === 0 || written !== this.written)) this.last = nowMs;
    this.written = written;
    return nowMs - this.last > patienceMs;
  }
}

/**
 * Looks at the receiver until `signal`, or until it stands still: a process that hangs looks as healthy as one that has nothing to do.
 * @returns true where it stands still
 */
export async function watchReceiver(
  places: Places,
  signal: AbortSignal,
  onLook: (position: WalPosition | undefined) => void,
): Promise<boolean> {
  const progress = new Progress(performance.now());
  let wasSeen = false;
  for (;;) {
    await sleep(wasSeen ? lookMs : firstLookMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return false;
    const position = await positionOf(places).catch(() => undefined);
    wasSeen ||= typeof position?.written === "string";
    onLook(position);
    if (progress.isStalled(position, performance.now())) return true;
  }
}

async function positionOf(places: Places): Promise<WalPosition> {
  const settings = readSettings(places);
  const { host } = await findPrimary(settings, places);
  const client = await connectAsApp(host, settings, places);
  try {
    const { rows } = await client.query<WalPosition>(
      `SELECT r.write_lsn::text AS written, pg_wal_lsn_diff(pg_current_wal_lsn(), r.write_lsn)::float8 AS behind
         FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid
        WHERE s.slot_name = $1`,
      [settings.slot],
    );
    return rows[0] ?? { written: null, behind: null };
  } finally {
    await client.end();
  }
}
