import type { ClientBase } from "pg";
import type { BackupFailure } from "./failure";
import { failureOf, isEverybodys, type Dumping } from "./fault";
import { maxLockWaitSeconds } from "./lock-watch";
import type { DumpedTable } from "./proof/dump-contents";
import { Moved } from "./proof/moved";
import { isDumped } from "./proof/tables";

/** Why what a service has could not be locked: somebody has it, it is gone ({@link Moved}), there is more than the server has locks. */
export type Unlocked = Map<string, BackupFailure>;

/** Of no service. */
const rest = "";

/**
 * Locks tables for a dump before its snapshot is taken. What is emptied or altered before, the snapshot sees as it is then; after, whoever
 * wants to waits until the dump is proven. A snapshot from before would see no row of a table that is emptied and filled before it is
 * locked, and nothing in a column that is made anew: in the dump as in the proof.
 * @param dumping `client`: in a transaction that has no snapshot yet; LOCK TABLE takes none
 * @throws BackupFailure where what is of no service could not be, or it is no service's doing
 */
export async function lockTables(
  dumping: Dumping,
  services: readonly string[],
  tables: readonly DumpedTable[],
): Promise<Unlocked> {
  const own = new Map(
    [rest, ...services].map((code) => [
      code,
      tables.filter(({ schema }) => schema === code || (code === rest && !services.includes(schema))),
    ]),
  );
  // Who has more tables than there are locks has none left, and not the others.
  const ordered = [...own].sort(([, one], [, other]) => one.length - other.length).map(([code]) => code);
  const lock = async (code: string) => {
    const names = (own.get(code) ?? []).map(({ quoted }) => `ONLY ${quoted}`);
    if (names.length > 0) await dumping.client.query(`LOCK TABLE ${names.join(", ")} IN ACCESS SHARE MODE`);
  };
  return eachOf(dumping, ordered, lock, (code) => own.get(code)?.length ?? 0);
}

/**
 * The same of sequences, which pg_dump reads by name: of a table in a sequence's place its planner would compute the owner's expressions,
 * which no signal ends, and of a materialized view it would write any text as the value.
 * @param dumping `client`: in a transaction of its own, READ COMMITTED
 */
export async function lockSequences(dumping: Dumping, services: readonly string[]): Promise<Unlocked> {
  const { client } = dumping;
  const ofCode = `FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND ${isDumped} AND CASE WHEN n.nspname = ANY ($1) THEN n.nspname ELSE '${rest}' END = $2`;
  // No statement locks a sequence. This does until the transaction ends, by number, and plans nothing.
  const lock = async (code: string) => {
    await client.query(`SELECT count(pg_sequence_last_value(c.oid)) ${ofCode}`, [services, code]);
  };
  const counts = new Map<string, number>();
  for (const code of [rest, ...services]) {
    const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int AS count ${ofCode}`, [services, code]);
    counts.set(code, rows[0]?.count ?? 0);
  }
  return eachOf(dumping, [...counts.keys()], lock, (code) => counts.get(code) ?? 0);
}

async function eachOf(
  dumping: Dumping,
  codes: readonly string[],
  lock: (code: string) => Promise<void>,
  countOf: (code: string) => number,
): Promise<Unlocked> {
  const { client } = dumping;
  // Of thousands each may be locked for a moment.
  await client.query(
    `SET LOCAL lock_timeout = '${maxLockWaitSeconds}s'; SET LOCAL statement_timeout = '${2 * maxLockWaitSeconds}s'`,
  );
  const unlocked: Unlocked = new Map();
  for (const code of codes) {
    await client.query("SAVEPOINT lock");
    const error = await lock(code).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) {
      const failed = isGone(error) ? new Moved(failureOf(error).message) : failureOf(error);
      // Of who has few it is another's doing that the server has no lock left: by locks that are no table's, and can be let go at once.
      const isOthers = isOutOfLocks(error) && countOf(code) < many;
      if ((await isEverybodys(dumping, "lock")) || code === rest || isOthers) throw failed;
      unlocked.set(code, failed);
    }
    // No snapshot is exported from inside a savepoint.
    await client.query("RELEASE SAVEPOINT lock");
  }
  return unlocked;
}

/** A server has room for thousands. */
const many = 1_000;

const isOutOfLocks = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "53200";

/** Dropped or renamed since it was listed. XX000: by its number. */
const isGone = (error: unknown): boolean =>
  error instanceof Error && "code" in error && ["42P01", "3F000", "XX000"].includes(String(error.code));

/**
 * What a snapshot has that is not locked: beside what could not be, what was made since it was listed.
 * @param snapshot a session in it
 * @param holders the processes that have the locks
 */
export async function notLocked(
  snapshot: ClientBase,
  holders: readonly number[],
  tables: readonly DumpedTable[],
): Promise<readonly { readonly schema: string; readonly quoted: string }[]> {
  const { rows } = await snapshot.query<{ schema: string; quoted: string; isTable: boolean }>(
    `SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS quoted, c.relkind = 'r' AS "isTable"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'S') AND ${isDumped}
        AND c.oid NOT IN (SELECT relation FROM pg_locks WHERE pid = ANY ($1) AND locktype = 'relation' AND granted)`,
    [holders],
  );
  const dumped = new Set(tables.map(({ quoted }) => quoted));
  return rows.filter(({ isTable, quoted }) => !isTable || dumped.has(quoted));
}
