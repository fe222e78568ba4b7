import type { Client } from "pg";
import type { LogicalContents } from "../manifest";
import { byRoot, type SequenceValue } from "../proof/dump-contents";
import { contentsOf, textSettings } from "../proof/table-contents";
import { tablesOf } from "../proof/tables";

const beginReading = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${textSettings}; SET LOCAL statement_timeout = 0`;

/**
 * How a restored database differs from what was dumped, in words: tables, their rows by number and by contents, constraints, indexes,
 * triggers, sequences. Of the given schemas; reads as a role that reads everything and owns nothing.
 */
export async function differencesOf(
  client: Client,
  { tables, sequences }: Pick<LogicalContents, "tables" | "sequences">,
  schemas: readonly string[],
): Promise<readonly string[]> {
  await client.query(beginReading);
  try {
    const found = (await tablesOf(client)).filter(({ schema }) => schemas.includes(schema));
    const expected = new Map(Object.entries(tables).filter(([name]) => isIn(name, schemas)));
    const parts = new Map(found.map((table) => [table.quoted, table]));
    const wrong = [
      ...[...expected.keys()].filter((name) => !parts.has(name)).map((name) => `${name} is missing`),
      ...[...parts.keys()]
        .filter((name) => !expected.has(name))
        .map((name) => `${name} was not in the dump's snapshot`),
    ];
    // Rows of partitions that are loaded by way of their root may have come into another.
    const roots = new Map(found.map(({ quoted, root }) => [quoted, root]));
    const now = byRoot(await contentsOf(client, found), roots);
    for (const [name, then] of byRoot(expected, roots)) {
      const { rows, hash } = now.get(name) ?? then;
      if (rows !== then.rows) wrong.push(`${name} has ${rows} rows, and had ${then.rows}`);
      else if (hash !== then.hash) wrong.push(`${name} has other values in its ${rows} rows`);
    }
    for (const [name, then] of expected) {
      const its = parts.get(name);
      for (const part of ["constraints", "indexes", "triggers"] as const) {
        if (its === undefined || its[part] === then[part]) continue;
        wrong.push(`${name} has ${its[part]} ${part}, and had ${then[part]}`);
      }
    }
    return [...wrong, ...(await sequenceDifferences(client, sequences, schemas))];
  } finally {
    await client.query("ROLLBACK");
  }
}

/** The same of the rows of one table, where nothing else was restored. */
export async function tableDifferences(
  client: Client,
  { tables }: Pick<LogicalContents, "tables">,
  name: string,
): Promise<readonly string[]> {
  const expected = new Map(Object.entries(tables));
  await client.query(beginReading);
  try {
    const found = await tablesOf(client);
    const roots = new Map(found.map(({ quoted, root }) => [quoted, root]));
    const then = byRoot(expected, roots).get(name);
    const parts = found.filter(({ quoted, root }) => quoted === name || root === name);
    const now = byRoot(await contentsOf(client, parts), roots).get(name);
    if (then === undefined) return [`${name} was not in the dump's snapshot`];
    if (now === undefined) return [`${name} is missing`];
    if (now.rows !== then.rows) return [`${name} has ${now.rows} rows, and had ${then.rows}`];
    return now.hash === then.hash ? [] : [`${name} has other values in its ${now.rows} rows`];
  } finally {
    await client.query("ROLLBACK");
  }
}

/** A qualified name begins with its schema, which needs no quotes: it is a service's code. */
const isIn = (name: string, schemas: readonly string[]) => schemas.some((schema) => name.startsWith(`${schema}.`));

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
