import type { ClientBase } from "pg";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";

/** What was dumped is not what the snapshot has: another snapshot has it. */
export class Moved extends BackupFailure {}

/** Schemas, and the types in them, by name: which they are, and the transactions that have last changed them. */
export type States = ReadonlyMap<string, string>;

/**
 * That what no lock on a table keeps is what it is in a dump's snapshot. pg_dump and COPY ask for a table by name, and for what values
 * are called and of which parts they are, whatever the snapshot. Where a restore in place has given the name to another schema, both
 * have read what the snapshot sees no row of, and agree; where a type was altered, the dump has rows for another type than it makes.
 * @param inSnapshot what the snapshot has
 * @throws Moved
 */
export function requireUnmoved(inSnapshot: States, now: States): void {
  const moved = [...inSnapshot].filter(([name, state]) => now.get(name) !== state).map(([name]) => name);
  if (moved.length > 0) throw new Moved(`${shortened(moved)} became another while it was dumped`);
}

/** As the session's transaction sees them. */
export async function statesOf(client: ClientBase, schemas: readonly string[]): Promise<States> {
  const { rows } = await client.query<{ name: string; state: string }>(
    `SELECT format('schema %I', nspname) AS name, format('%s %s', oid, xmin) AS state
       FROM pg_namespace WHERE nspname = ANY ($1)
     UNION ALL
     SELECT format('type %I.%I', n.nspname, t.typname),
            format('%s %s %s %s', t.oid, t.xmin,
                   (SELECT string_agg(format('%s %s', oid, xmin), ',' ORDER BY oid) FROM pg_enum WHERE enumtypid = t.oid),
                   (SELECT string_agg(format('%s %s', attnum, xmin), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = t.typrelid))
       FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
      WHERE n.nspname = ANY ($1) AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')
     ORDER BY 1`,
    [schemas],
  );
  return new Map(rows.map(({ name, state }) => [name, state]));
}
