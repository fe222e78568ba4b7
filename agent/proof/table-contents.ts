import type { ClientBase } from "pg";

/** What a table has, in whatever order its rows lie. */
export interface TableContents {
  readonly rows: number;
  /** Sum of a 64-bit hash of each row's text, as a decimal number: the same rows have the same, another value another. */
  readonly hash: string;
}

/**
 * A value is the same text on every server: where it was dumped, and where it is restored. And whoever puts a view where a table was
 * does not have it run as the one who reads: pg_dump protects itself in the same way (from 16.4 on).
 */
export const textSettings =
  "SET LOCAL restrict_nonsystem_relation_kind = 'view, foreign-table'; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = UTC; " +
  "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex; SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = content";

/**
 * Reads every row, in a transaction that has {@link textSettings}. Types' own output is all that runs: of enums, domains and rows it
 * is PostgreSQL's.
 * @returns by the table's name as SQL has it
 */
export async function contentsOf(
  client: ClientBase,
  tables: readonly { readonly quoted: string }[],
): Promise<ReadonlyMap<string, TableContents>> {
  const contents = new Map<string, TableContents>();
  for (const { quoted } of tables) {
    // ROW(t.*): a column may be called t. Everything by its schema: nothing in a path an owner might have changed is looked up.
    const { rows } = await client.query<{ rows: string; hash: string }>(
      `SELECT pg_catalog.count(*) AS rows,
              coalesce(pg_catalog.sum(pg_catalog.hashtextextended(ROW(t.*)::pg_catalog.text, 0)), 0)::pg_catalog.text AS hash
         FROM ONLY ${quoted} AS t`,
    );
    const [row] = rows;
    contents.set(quoted, { rows: Number(row?.rows), hash: row?.hash ?? "" });
  }
  return contents;
}
