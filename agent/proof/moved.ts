import type { ClientBase } from "pg";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";

/** What was dumped is not what the snapshot has: another snapshot has it. */
export class Moved extends BackupFailure {}

/** Schemas and what is in them, by what it is called: which it is, and the transactions that have last changed it, as a sum. */
export type States = ReadonlyMap<string, string>;

/**
 * That what no lock on a table keeps is what it is in a dump's snapshot. pg_dump and COPY ask for a table by name, for definitions by
 * number, and for what values are called and of which parts they are, whatever the snapshot. Where a restore in place has given the name
 * to another schema, both have read what the snapshot sees no row of, and agree; where a type was altered, the dump has rows for another
 * type than it makes; where a function or a view was, it may define one by what is not in it.
 * @param inSnapshot what the snapshot has
 * @throws Moved
 */
export function requireUnmoved(inSnapshot: States, now: States): void {
  const names = [...new Set([...inSnapshot.keys(), ...now.keys()])];
  const moved = names.filter((name) => now.get(name) !== inSnapshot.get(name));
  if (moved.length > 0) throw new Moved(`${shortened(moved)} changed while it was dumped`);
}

/** As the session's transaction sees them. Without tables and sequences, which are locked; what REFRESH does to a view changes none. */
export async function statesOf(client: ClientBase, schemas: readonly string[]): Promise<States> {
  const { rows } = await client.query<{ name: string; state: string }>(
    `SELECT format(part.kind, n.nspname) AS name, md5(string_agg(part.state, ',' ORDER BY part.state)) AS state
       FROM pg_namespace n
       JOIN (SELECT 'schema %I', oid, format('%s %s', oid, xmin) FROM pg_namespace
             UNION ALL
             SELECT 'types of %I', t.typnamespace, format('%s %s', t.oid, t.xmin)
               FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
              WHERE t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c'
             UNION ALL
             SELECT 'types of %I', t.typnamespace, format('%s %s', e.oid, e.xmin) FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
             UNION ALL
             SELECT 'types of %I', connamespace, format('%s %s', oid, xmin) FROM pg_constraint WHERE contypid <> 0
             UNION ALL
             SELECT 'types of %I', c.relnamespace, format('%s %s %s', c.oid, a.attnum, a.xmin)
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind = 'c'
             UNION ALL
             SELECT 'functions of %I', pronamespace, format('%s %s', oid, xmin) FROM pg_proc
             UNION ALL
             SELECT 'views of %I', relnamespace, format('%s %s', oid, relname) FROM pg_class WHERE relkind IN ('v', 'm', 'p')
             UNION ALL
             SELECT 'views of %I', c.relnamespace, format('%s %s', r.oid, r.xmin)
               FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
            ) AS part(kind, namespace, state) ON part.namespace = n.oid
      WHERE n.nspname = ANY ($1)
      GROUP BY part.kind, n.nspname
      ORDER BY 1`,
    [schemas],
  );
  return new Map(rows.map(({ name, state }) => [name, state]));
}
