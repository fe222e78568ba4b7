import { OperatorError } from "../operator-error";
import { asSuperuser, type Platform } from "./platform";

/** A database in which nobody of a service is: a lock taken there is nobody else's to take. */
export const elsewhere = "postgres";

/** Any number: of its own database nobody else asks for one. */
const lock = 16;

/**
 * Does what only one person may do at a time on a stack: of two restores each would take the other's half for what it had to put back.
 * @throws OperatorError where another does, with since when
 */
export function alone<T>(platform: Platform, work: () => Promise<T>): Promise<T> {
  // The session's end gives it back, however that comes.
  return asSuperuser(platform, elsewhere, async (superuser) => {
    const { rows } = await superuser.query<{ mine: boolean }>("SELECT pg_try_advisory_lock($1) AS mine", [lock]);
    if (rows[0]?.mine) return work();
    const holders = await superuser.query<{ pid: number; since: string }>(
      `SELECT pid, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
         FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      [lock],
    );
    const [holder] = holders.rows;
    if (holder === undefined) throw new OperatorError("another restore has just ended: the same command again");
    throw new OperatorError(
      `another restore of stack ${platform.stack.name} is under way, since ${holder.since} UTC: wait for it, or end it with Ctrl-C where ` +
        `it runs; where nobody knows of it, as superuser in ${elsewhere}: SELECT pg_terminate_backend(${holder.pid})`,
    );
  });
}
