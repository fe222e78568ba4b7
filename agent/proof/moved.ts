import type { ClientBase } from "pg";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";

/** What was dumped is not what the snapshot has: another snapshot has it. */
export class Moved extends BackupFailure {}

/**
 * That tables are now what they are in a dump's snapshot. pg_dump and COPY ask for them by name, whatever the snapshot: where a restore in
 * place has given the name to another schema meanwhile, and where a table was emptied or written anew (TRUNCATE, ALTER TABLE) before it
 * was locked, both have read what the snapshot sees no row of, and agree.
 * @param snapshot a session in it
 * @param now any other session
 * @throws Moved
 */
export async function requireUnmoved(snapshot: ClientBase, now: ClientBase, schemas: readonly string[]): Promise<void> {
  const [before, after] = [await placesOf(snapshot, schemas), await placesOf(now, schemas)];
  const moved = [...before].filter(([name, place]) => after.get(name) !== place).map(([name]) => name);
  if (moved.length > 0) throw new Moved(`${shortened(moved)} became another while it was dumped`);
}

/** Schemas, and the tables in them, by name: their number, and the file that has the rows. */
async function placesOf(client: ClientBase, schemas: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; place: string }>(
    `SELECT format('schema %I', nspname) AS name, oid::text AS place FROM pg_namespace WHERE nspname = ANY ($1)
     UNION ALL
     SELECT format('table %I.%I', n.nspname, c.relname), format('%s %s', c.oid, c.relfilenode)
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname = ANY ($1)
     ORDER BY 1`,
    [schemas],
  );
  return new Map(rows.map(({ name, place }) => [name, place]));
}
