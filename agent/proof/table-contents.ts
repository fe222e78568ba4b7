import type { Client } from "pg";
import { to as copyTo } from "pg-copy-streams";
import { RowSum, type RowKey, type TableContents } from "./row-sum";

/**
 * A value is the same text on every server: where it was dumped, and where it is restored. And whoever puts a view where a table was
 * does not have it run as the one who reads: pg_dump protects itself in the same way (from 16.4 on).
 */
export const textSettings =
  "SET LOCAL restrict_nonsystem_relation_kind = 'view, foreign-table'; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = UTC; " +
  "SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = hex; SET LOCAL lc_monetary = 'C'";

/** The same for pg_dump, which sets the others itself. */
export const textOptions = "-c TimeZone=UTC -c DateStyle=ISO,YMD -c bytea_output=hex -c lc_monetary=C";

/**
 * Reads every row, in a transaction that has {@link textSettings}. By COPY, as pg_dump does: it plans nothing, and so computes nothing
 * that an owner has written into an index. Types' own output is all that runs: of enums, domains and rows it is PostgreSQL's.
 * @param tables no partitioned ones, which have no rows
 * @param signal ends it before the next table
 * @returns by the table's name as SQL has it
 */
export async function contentsOf(
  client: Client,
  tables: readonly { readonly quoted: string }[],
  key: RowKey,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, TableContents>> {
  const contents = new Map<string, TableContents>();
  for (const { quoted } of tables) {
    signal?.throwIfAborted();
    const sum = new RowSum(key);
    for await (const chunk of client.query(copyTo(`COPY ${quoted} TO STDOUT`))) sum.addText(chunk as Buffer);
    contents.set(quoted, sum.contents());
  }
  return contents;
}
