import { setTimeout as sleep } from "node:timers/promises";
import { BackupFailure } from "./failure";
import { connectAsApp } from "./server";
import type { AgentSettings } from "./settings";
import type { ToolOptions } from "./tool";

/** As long as pg_dump waits for a table. */
export const maxLockWaitSeconds = 30;
const lookMs = 5_000;

const holders = `
  SELECT coalesce((SELECT string_agg(DISTINCT b.usename, ', ') FROM pg_stat_activity b
                    WHERE b.pid = ANY (pg_blocking_pids(l.pid))), 'somebody') AS holder
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
   WHERE NOT l.granted AND l.waitstart < clock_timestamp() - make_interval(secs => $1)
     AND a.usename = 'app' AND a.application_name = 'centraldb-backup'`;

/**
 * Runs what dumps, and ends it where it waits too long for a lock. `--lock-wait-timeout` is for tables only: at a view, a
 * materialized view or a sequence that somebody has locked pg_dump waits as long as that one likes, and every other service's
 * backup with it. When it is told to end it cancels its query.
 * @throws BackupFailure with the role that has the lock
 */
export async function unlessBlocked<T>(
  host: string,
  settings: AgentSettings,
  { places, signal }: ToolOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const [blocked, done] = [new AbortController(), new AbortController()];
  let holder: string | undefined;
  const watch = async () => {
    while (holder === undefined) {
      await sleep(lookMs, undefined, { signal: done.signal }).catch(() => undefined);
      if (done.signal.aborted) return;
      // A session for each look; what keeps it from the server keeps the dump, which says so.
      const client = await connectAsApp(host, settings, places).catch(() => undefined);
      await client?.query("SET statement_timeout = '5s'").catch(() => undefined);
      const found = await client?.query<{ holder: string }>(holders, [maxLockWaitSeconds]).catch(() => undefined);
      await client?.end();
      holder = found?.rows[0]?.holder;
    }
    blocked.abort();
  };
  const watching = watch();
  try {
    return await run(AbortSignal.any([blocked.signal, ...(signal === undefined ? [] : [signal])]));
  } catch (error) {
    if (holder === undefined) throw error;
    throw new BackupFailure(`pg_dump has waited ${maxLockWaitSeconds} s for a lock of ${holder}`);
  } finally {
    done.abort();
    await watching;
  }
}
