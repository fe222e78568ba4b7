import type { ClientBase } from "pg";

/** Of one query. What is told of it is three times as much, and half a gigabyte is all that one text has room for. */
const maxBytes = 64 * 1024 ** 2;

/**
 * What a query of the audit's finds. It is measured where it is found: an owner makes names of megabytes, and as many as it likes.
 * @throws TooMuch where it is too much to be told
 */
export async function rowsOf<Row>(
  superuser: ClientBase,
  query: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const { rows } = await superuser.query<{ readonly found: string | null }>(
    `SELECT CASE WHEN sum(octet_length(found)) OVER () <= ${maxBytes} THEN found END AS found
       FROM (SELECT row_to_json(asked)::text AS found FROM (${query.trim().replace(/;$/, "")}
            ) AS asked) AS told`,
    [...values],
  );
  return rows.map(({ found }) => {
    if (found === null) throw new TooMuch();
    return JSON.parse(found) as Row;
  });
}

/** What is found is more than can be told. */
export class TooMuch extends Error {
  override readonly message = `more than ${maxBytes / 1024 ** 2} MiB are found`;
}
