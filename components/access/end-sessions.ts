import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase } from "pg";

/** A standby replays within moments that a role may no longer log in; a login may take seconds (logins-under-way.sql). */
const timeoutMs = 30_000;

/**
 * Ends every session of roles that may not log in any more, as superuser, on a primary or a standby. Returns how many there
 * were.
 * @throws Error where the server still lets one of them in: a standby that does not follow; where one does not end
 */
export async function endSessions(superuser: ClientBase, roles: readonly string[]): Promise<number> {
  let early = 0;
  await until("the standby does not follow: it still lets frozen services log in", async () => {
    const mayLogIn = "SELECT pg_is_in_recovery() AS standby FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin";
    const { rows } = await superuser.query<{ standby: boolean }>(mayLogIn, [roles]);
    // One of theirs may be what it waits for: a reader that does not take its answer is not ended for that.
    if (rows[0]?.standby) early += await endAll(superuser, roles);
    return rows.length === 0;
  });
  await endLogins(superuser);
  const ended = await endAll(superuser, roles);
  await until("sessions of frozen services do not end", async () => {
    const sessions = "SELECT FROM pg_stat_activity WHERE split_part(usename::text, '_restore_', 1) = ANY ($1)";
    return (await superuser.query(sessions, [roles])).rowCount === 0;
  });
  return early + ended;
}

async function endAll(superuser: ClientBase, roles: readonly string[]): Promise<number> {
  const { rows } = await superuser.query<{ ended: number }>(sql("end-sessions"), [roles]);
  return rows[0]?.ended ?? 0;
}

/**
 * Whoever was let in before roles were shut out and is no session yet: becomes one now, or is told to end, which it does before its first
 * statement, however long its login takes. Anybody's, as nobody knows whose it is, so nobody's is waited for.
 */
export async function endLogins(superuser: ClientBase): Promise<void> {
  const ask = async () => (await superuser.query<{ login: string; pid: number }>(sql("logins-under-way"))).rows;
  const before = (await ask()).map(({ login }) => login);
  const deadline = Date.now() + honestLoginMs;
  for (;;) {
    const left = (await ask()).filter(({ login }) => before.includes(login));
    if (left.length === 0) return;
    if (Date.now() > deadline) {
      for (const { pid } of left) await superuser.query("SELECT pg_terminate_backend($1)", [pid]);
      return;
    }
    await sleep(100);
  }
}

const honestLoginMs = 1_000;

/** @throws Error that says `why` where `done` does not come true in time */
async function until(why: string, done: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(why);
    await sleep(100);
  }
}

function sql(name: string): string {
  return readFileSync(join(__dirname, "sql", `${name}.sql`), "utf8");
}
