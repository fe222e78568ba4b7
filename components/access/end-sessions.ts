import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase } from "pg";

/** With a list of roles as $1. */
export const endSessionsSql = readFileSync(join(__dirname, "sql", "end-sessions.sql"), "utf8");

/** A standby replays within moments that a role may no longer log in. */
const replayTimeoutMs = 30_000;

/**
 * Ends every session of roles that may not log in any more, as superuser, on a primary or a standby. Returns how many there
 * were.
 * @throws Error where the server still lets one of them in: a standby that does not follow
 */
export async function endSessions(superuser: ClientBase, roles: readonly string[]): Promise<number> {
  const deadline = Date.now() + replayTimeoutMs;
  while (await mayLogIn(superuser, roles)) {
    if (Date.now() > deadline) throw new Error("the standby does not follow: it still lets frozen services log in");
    await sleep(100);
  }
  const { rows } = await superuser.query<{ ended: number }>(endSessionsSql, [roles]);
  return rows[0]?.ended ?? 0;
}

async function mayLogIn(superuser: ClientBase, roles: readonly string[]): Promise<boolean> {
  const { rowCount } = await superuser.query("SELECT FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin", [roles]);
  return rowCount !== 0;
}
