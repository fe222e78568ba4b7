import type { ClientBase } from "pg";
import type { BackupFailure } from "./failure";
import { failureOf, isEverybodys, type Dumping } from "./fault";
import { maxLockWaitSeconds } from "./lock-watch";
import type { DumpedTable } from "./proof/dump-contents";
import { Moved } from "./proof/moved";
import type { AgentSettings } from "./settings";

/**
 * Locks tables for a dump, in a transaction that has no snapshot yet: LOCK TABLE takes none. What is emptied or altered before, the
 * snapshot sees as it is then; after, whoever wants to waits until the dump is proven. A snapshot from before would see no row of a table
 * that is emptied and filled before it is locked, and nothing in a column that is made anew: in the dump as in the proof.
 * @returns why a service's tables could not be: somebody has them locked, they are gone ({@link Moved}), there are more than the server has locks
 * @throws BackupFailure where tables of no service could not be, or it is no service's doing
 */
export async function lockTables(
  dumping: Dumping,
  { services, dumpMinutes }: AgentSettings,
  tables: readonly DumpedTable[],
): Promise<Map<string, BackupFailure>> {
  const { client } = dumping;
  const lock = async (own: readonly DumpedTable[]): Promise<BackupFailure | undefined> => {
    if (own.length === 0) return undefined;
    const names = own.map(({ quoted }) => `ONLY ${quoted}`);
    await client.query("SAVEPOINT lock");
    const failed = await client.query(`LOCK TABLE ${names.join(", ")} IN ACCESS SHARE MODE`).then(
      () => undefined,
      (error: unknown) => (isGone(error) ? new Moved(failureOf(error).message) : failureOf(error)),
    );
    if (failed !== undefined && (await isEverybodys(dumping, "lock"))) throw failed;
    // No snapshot is exported from inside a savepoint.
    await client.query("RELEASE SAVEPOINT lock");
    return failed;
  };
  // Of thousands of tables each may be locked for a moment.
  await client.query(
    `SET LOCAL lock_timeout = '${maxLockWaitSeconds}s'; SET LOCAL statement_timeout = '${2 * maxLockWaitSeconds}s'`,
  );
  const failedRest = await lock(tables.filter(({ schema }) => !services.includes(schema)));
  if (failedRest !== undefined) throw failedRest;
  const unlocked = new Map<string, BackupFailure>();
  const each = services.map((code) => ({ code, own: tables.filter(({ schema }) => schema === code) }));
  // Who has more tables than there are locks has none left, and not the others.
  for (const { code, own } of each.sort((one, other) => one.own.length - other.own.length)) {
    const failed = await lock(own);
    if (failed !== undefined) unlocked.set(code, failed);
  }
  await client.query(`SET LOCAL statement_timeout = ${dumpMinutes * 60_000}`);
  return unlocked;
}

/** Dropped or renamed since it was listed. */
const isGone = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "42P01" || error.code === "3F000");

/** Of tables that a snapshot has those that are not locked: beside those that could not be, what was made since they were listed. */
export async function notLocked(client: ClientBase, tables: readonly DumpedTable[]): Promise<readonly DumpedTable[]> {
  const { rows } = await client.query<{ quoted: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS quoted
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r'
        AND c.oid NOT IN (SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted)`,
  );
  const open = new Set(rows.map(({ quoted }) => quoted));
  return tables.filter(({ quoted }) => open.has(quoted));
}
