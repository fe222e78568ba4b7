import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { OperatorError } from "../operator-error";

/**
 * Ends all sessions of roles, or in databases, but one's own.
 * @returns how many there were
 * @throws OperatorError where one goes on after ten seconds
 */
export async function endSessions(
  superuser: Client,
  column: "usename" | "datname",
  names: readonly string[],
): Promise<number> {
  const of = `FROM pg_stat_activity WHERE ${column} = ANY ($1) AND pid <> pg_backend_pid()`;
  let ended = 0;
  for (let left = 100; left > 0; left--) {
    const { rows } = await superuser.query<{ pid: number; usename: string | null }>(`SELECT pid, usename ${of}`, [
      names,
    ]);
    if (rows.length === 0) return ended;
    ended = Math.max(ended, rows.length);
    if (left === 1) {
      const who = rows.map(({ pid, usename }) => `${usename ?? "the server"} (process ${pid})`).join(", ");
      throw new OperatorError(`sessions of ${who} do not end: they roll back, or run what nothing interrupts`);
    }
    await superuser.query(`SELECT pg_terminate_backend(pid) ${of}`, [names]);
    await sleep(100);
  }
  return ended;
}
