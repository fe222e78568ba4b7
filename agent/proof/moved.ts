import type { ClientBase } from "pg";
import { BackupFailure } from "../failure";

/**
 * That services' schemas are now what they are in a dump's snapshot. pg_dump and COPY ask for tables by name, whatever the snapshot: where a
 * restore in place has given the name to another schema meanwhile, both have read that one, in which the snapshot sees no rows.
 * @param snapshot a session in it
 * @param now any other session
 * @throws BackupFailure
 */
export async function requireUnmoved(
  snapshot: ClientBase,
  now: ClientBase,
  services: readonly string[],
): Promise<void> {
  const [before, after] = [await schemasOf(snapshot, services), await schemasOf(now, services)];
  const moved = services.filter((code) => before.get(code) !== after.get(code));
  if (moved.length > 0) throw new BackupFailure(`${moved.join(", ")} was restored in its place while it was dumped`);
}

/** Numbers by name. */
async function schemasOf(client: ClientBase, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; oid: string }>(
    "SELECT nspname::text AS name, oid::text FROM pg_namespace WHERE nspname = ANY ($1)",
    [names],
  );
  return new Map(rows.map(({ name, oid }) => [name, oid]));
}
