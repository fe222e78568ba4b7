import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { OperatorError } from "../operator-error";

/** A column of pg_stat_activity by which sessions are chosen. */
type Column = "usename" | "datname";

const others = (column: Column) => `FROM pg_stat_activity WHERE ${column} = ANY ($1) AND pid <> pg_backend_pid()`;

/**
 * Tells all sessions of roles, or in databases, but one's own, to end.
 * @returns how many there were
 */
export async function tellToEnd(superuser: Client, column: Column, names: readonly string[]): Promise<number> {
  return (await superuser.query(`SELECT pg_terminate_backend(pid) ${others(column)}`, [names])).rowCount ?? 0;
}

/**
 * The same, and waits until they have ended. Nobody may come meanwhile.
 * @returns how many there were
 * @throws OperatorError where one goes on after ten seconds
 */
export async function endSessions(superuser: Client, column: Column, names: readonly string[]): Promise<number> {
  let ended = 0;
  for (let left = 100; left > 0; left--) {
    const { rows } = await superuser.query<{ pid: number; usename: string | null }>(
      `SELECT pid, usename ${others(column)}`,
      [names],
    );
    if (rows.length === 0) return ended;
    ended = Math.max(ended, rows.length);
    if (left === 1) {
      const who = rows.map(({ pid, usename }) => `${usename ?? "the server"} (process ${pid})`).join(", ");
      throw new OperatorError(`sessions of ${who} do not end: they roll back, or run what nothing interrupts`);
    }
    await tellToEnd(superuser, column, names);
    await sleep(100);
  }
  return ended;
}
