import type { ClientBase } from "pg";
import type { BackupFailure } from "./failure";
import { failureOf, isEverybodys, type Dumping } from "./fault";
import { maxLockWaitSeconds } from "./lock-watch";
import type { DumpedTable } from "./proof/dump-contents";
import { Moved } from "./proof/moved";
import { isDumped, tablesOf } from "./proof/tables";

/** Of no service. */
const rest = "";

/**
 * Locks tables and sequences for a dump, in a session of its own and before the dump's snapshot is taken. What is emptied or altered
 * before, the snapshot sees as it is then; after, whoever wants to waits until the dump is proven. A snapshot from before would see no row
 * of a table that is emptied and filled before it is locked, and nothing in a column that is made anew: in the dump as in the proof. And
 * pg_dump reads sequences by name: of a table in a sequence's place its planner would compute the owner's expressions, which no signal ends.
 * @param dumping `client`: in a transaction, READ COMMITTED
 * @returns why a service's could not be: somebody has them locked, they are gone ({@link Moved}), there are more than the server has locks
 * @throws BackupFailure where what is of no service could not be, or it is no service's doing
 */
export async function lockRelations(
  dumping: Dumping,
  services: readonly string[],
): Promise<Map<string, BackupFailure>> {
  const { client } = dumping;
  const tables = await tablesOf(client);
  // Of thousands of tables each may be locked for a moment.
  await client.query(
    `SET LOCAL lock_timeout = '${maxLockWaitSeconds}s'; SET LOCAL statement_timeout = '${2 * maxLockWaitSeconds}s'`,
  );
  const unlocked = new Map<string, BackupFailure>();
  const parts = [rest, ...services].map((code) => ({
    code,
    own: tables.filter(({ schema }) => schema === code || (code === rest && !services.includes(schema))),
  }));
  // Who has more tables than there are locks has none left, and not the others.
  for (const { code, own } of parts.sort((one, other) => one.own.length - other.own.length)) {
    await client.query("SAVEPOINT lock");
    const failed = await lock(client, code, own, services).then(
      () => undefined,
      (error: unknown) => (isGone(error) ? new Moved(failureOf(error).message) : failureOf(error)),
    );
    if (failed === undefined) continue;
    if ((await isEverybodys(dumping, "lock")) || code === rest) throw failed;
    unlocked.set(code, failed);
  }
  return unlocked;
}

async function lock(
  client: ClientBase,
  code: string,
  tables: readonly DumpedTable[],
  services: readonly string[],
): Promise<void> {
  if (tables.length > 0)
    await client.query(`LOCK TABLE ${tables.map(({ quoted }) => `ONLY ${quoted}`).join(", ")} IN ACCESS SHARE MODE`);
  // No statement locks a sequence. This does until the transaction ends, by number, and plans nothing.
  await client.query(
    `SELECT count(pg_sequence_last_value(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S' AND ${isDumped} AND CASE WHEN n.nspname = ANY ($1) THEN n.nspname ELSE '${rest}' END = $2`,
    [services, code],
  );
}

/** Dropped or renamed since it was listed. XX000: by its number. */
const isGone = (error: unknown): boolean =>
  error instanceof Error && "code" in error && ["42P01", "3F000", "XX000"].includes(String(error.code));

/**
 * What a snapshot has that is not locked: beside what could not be, what was made since it was listed.
 * @param snapshot a session in it
 * @param holder the process that has the locks
 */
export async function notLocked(
  snapshot: ClientBase,
  holder: number,
  tables: readonly DumpedTable[],
): Promise<readonly { readonly schema: string; readonly quoted: string }[]> {
  const { rows } = await snapshot.query<{ schema: string; quoted: string; isTable: boolean }>(
    `SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS quoted, c.relkind = 'r' AS "isTable"
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'S') AND ${isDumped}
        AND c.oid NOT IN (SELECT relation FROM pg_locks WHERE pid = $1 AND locktype = 'relation' AND granted)`,
    [holder],
  );
  const dumped = new Set(tables.map(({ quoted }) => quoted));
  return rows.filter(({ isTable, quoted }) => !isTable || dumped.has(quoted));
}
