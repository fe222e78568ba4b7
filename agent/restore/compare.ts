import { DatabaseError, type Client } from "pg";
import { inALine } from "../failure";
import { takesLonger } from "../limits";
import type { LogicalContents } from "../manifest";
import { byRoot, type SequenceValue } from "../proof/dump-contents";
import type { RowKey, TableContents } from "../proof/row-sum";
import { contentsOf, textSettings } from "../proof/table-contents";
import { objectsOf, tablesOf } from "../proof/tables";

const beginReading = (minutes: number) =>
  `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${textSettings}; SET LOCAL statement_timeout = '${minutes}min'`;

/** How long tables may be read. */
export interface ReadLimit {
  /** For each of them; where there is an end, the time there was until then. */
  readonly minutes: number;
  /** Of all together, in milliseconds as performance.now() has it. @default none */
  readonly until?: number;
  /** Ends it before the next table. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads every row of tables, in a transaction of its own. One that cannot be read, or takes too long, keeps nobody from the others, until
 * the end or the session's: then it is said which one that was, and how many are behind it.
 * @param client of a role that reads everything and owns nothing
 * @returns contents by the table's name as SQL has it, and in words what could not be read
 */
export async function readTables(
  client: Client,
  tables: readonly { readonly quoted: string }[],
  key: RowKey,
  { minutes, until = Infinity, signal }: ReadLimit,
): Promise<{ readonly contents: ReadonlyMap<string, TableContents>; readonly wrong: readonly string[] }> {
  const contents = new Map<string, TableContents>();
  const wrong: string[] = [];
  await client.query(beginReading(minutes));
  try {
    for (const [index, { quoted }] of tables.entries()) {
      signal?.throwIfAborted();
      const ms = Math.min(minutes * 60_000, until - performance.now());
      // Zero would be no limit.
      await client.query(`SAVEPOINT one; SET LOCAL statement_timeout = ${Math.max(1, Math.ceil(ms))}`);
      try {
        for (const [name, read] of await contentsOf(client, [{ quoted }], key)) contents.set(name, read);
      } catch (error) {
        const isOver = performance.now() >= until;
        const tooLong = isOver || (error instanceof DatabaseError && error.code === queryCanceled);
        wrong.push(`${quoted} cannot be read: ${tooLong ? takesLonger(minutes) : inALine(error)}`);
        if (isOver || !(error instanceof DatabaseError) || error.severity === "FATAL") {
          const behind = tables.length - index - 1;
          if (behind > 0)
            wrong.push(`${behind} ${behind === 1 ? "table" : "tables"} behind ${quoted} cannot be read then`);
          break;
        }
      }
      await client.query("ROLLBACK TO SAVEPOINT one");
    }
    return { contents, wrong };
  } finally {
    await client.query("ROLLBACK").catch(() => undefined); // a lost connection is the error of the query before
  }
}

const queryCanceled = "57014";

/**
 * How a restored database differs from what was dumped, in words: tables, their rows by number and by contents, constraints, indexes,
 * triggers, columns, sequences, functions, types, views. Of the given schemas; reads as a role that reads everything and owns nothing.
 */
export async function differencesOf(
  client: Client,
  { rowKey, tables, sequences, objects }: Pick<LogicalContents, "rowKey" | "tables" | "sequences" | "objects">,
  schemas: readonly string[],
  limit: ReadLimit,
): Promise<readonly string[]> {
  const found = await tablesOf(client, schemas);
  const expected = new Map(Object.entries(tables).filter(([name]) => isIn(name, schemas)));
  const parts = new Map(found.map((table) => [table.quoted, table]));
  const wrong = [
    ...[...expected.keys()].filter((name) => !parts.has(name)).map((name) => `${name} is missing`),
    ...[...parts.keys()].filter((name) => !expected.has(name)).map((name) => `${name} was not in the dump's snapshot`),
  ];
  // Before the rows: their end may be the session's.
  await client.query(beginReading(limit.minutes));
  const others = [
    ...(await sequenceDifferences(client, sequences, schemas)),
    ...objectDifferences(objects, await objectsOf(client, schemas), schemas),
  ];
  await client.query("ROLLBACK");
  const read = await readTables(client, found, rowKey, limit);
  wrong.push(...read.wrong);
  // Rows of partitions that are loaded by way of their root may have come into another.
  const roots = new Map(found.map(({ quoted, root }) => [quoted, root]));
  const now = byRoot(read.contents, roots);
  for (const [name, then] of byRoot(expected, roots)) wrong.push(...rowDifferences(name, then, now.get(name)));
  for (const [name, then] of expected) {
    const its = parts.get(name);
    if (its !== undefined && its.columns !== then.columns) wrong.push(`${name} has other columns`);
    for (const part of ["constraints", "indexes", "triggers"] as const) {
      if (its === undefined || its[part] === then[part]) continue;
      wrong.push(`${name} has ${its[part]} ${part}, and had ${then[part]}`);
    }
  }
  return [...wrong, ...others];
}

/** The same of the rows of one table, where nothing else was restored. */
export async function tableDifferences(
  client: Client,
  { rowKey, tables }: Pick<LogicalContents, "rowKey" | "tables">,
  name: string,
  minutes: number,
): Promise<readonly string[]> {
  const found = await tablesOf(client);
  const roots = new Map(found.map(({ quoted, root }) => [quoted, root]));
  const parts = found.filter(({ quoted, root }) => quoted === name || root === name);
  const then = byRoot(new Map(Object.entries(tables)), roots).get(name);
  if (then === undefined) return [`${name} was not in the dump's snapshot`];
  if (parts.length === 0) return [`${name} is missing`];
  const { contents, wrong } = await readTables(client, parts, rowKey, { minutes });
  return [...wrong, ...rowDifferences(name, then, byRoot(contents, roots).get(name))];
}

/** @param now undefined: it is missing or could not be read, which is said elsewhere */
function rowDifferences(name: string, then: TableContents, now: TableContents | undefined): readonly string[] {
  if (now === undefined) return [];
  if (now.rows !== then.rows) return [`${name} has ${now.rows} rows, and had ${then.rows}`];
  return now.hash === then.hash ? [] : [`${name} has other values in its ${now.rows} rows`];
}

/** A qualified name begins with its schema, which needs no quotes: it is a service's code. */
const isIn = (name: string, schemas: readonly string[]) => schemas.some((schema) => name.startsWith(`${schema}.`));

function objectDifferences(
  then: LogicalContents["objects"],
  now: LogicalContents["objects"],
  schemas: readonly string[],
): readonly string[] {
  return schemas.flatMap((schema) =>
    (["functions", "types", "views"] as const).flatMap((kind) => {
      const [had, has] = [then[schema]?.[kind] ?? 0, now[schema]?.[kind] ?? 0];
      return had === has ? [] : [`${schema} has ${has} ${kind}, and had ${had}`];
    }),
  );
}

async function sequenceDifferences(
  client: Client,
  sequences: Readonly<Record<string, SequenceValue>>,
  schemas: readonly string[],
): Promise<readonly string[]> {
  const { rows: found } = await client.query<{ quoted: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS quoted FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S' AND n.nspname = ANY ($1) ORDER BY 1`,
    [schemas],
  );
  const names = new Set(found.map(({ quoted }) => quoted));
  const expected = Object.entries(sequences).filter(([name]) => isIn(name, schemas));
  const wrong = [
    ...expected.filter(([name]) => !names.has(name)).map(([name]) => `sequence ${name} is missing`),
    ...[...names].filter((name) => sequences[name] === undefined).map((name) => `sequence ${name} was not in the dump`),
  ];
  for (const [name, then] of expected.filter(([sequence]) => names.has(sequence))) {
    const { rows } = await client.query<SequenceValue>(
      `SELECT last_value::text AS last, is_called AS "isCalled" FROM ${name}`,
    );
    const [now] = rows;
    if (now?.last === then.last && now.isCalled === then.isCalled) continue;
    wrong.push(`sequence ${name} is at ${now?.last ?? "no value"}, and was at ${then.last}`);
  }
  return wrong;
}
