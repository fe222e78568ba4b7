import type { Readable } from "node:stream";

/** A table as the catalog of the dump's own snapshot has it. */
export interface DumpedTable {
  readonly schema: string;
  readonly name: string;
  /** As SQL names it: `gt."gt_Raw"`. */
  readonly quoted: string;
  readonly owner: string;
}

/** What `pg_restore --list` says of a dump's tables and the catalog of its snapshot does not, or the other way round; in words. */
export function comparedWithList(list: string, tables: readonly DumpedTable[]): readonly string[] {
  // "3456; 0 16400 TABLE DATA gt gt_raw_data gtown": a name may have spaces, and a line break is a space there.
  const found = new Set(list.split("\n").flatMap((line) => /^\d+; \d+ \d+ TABLE DATA (.*)$/.exec(line)?.[1] ?? []));
  const oneLine = (text: string) => text.replaceAll(/[\r\n]/g, " ");
  const expected = new Map(
    tables.map(({ schema, name, owner, quoted }) => [oneLine(`${schema} ${name} ${owner}`), quoted] as const),
  );
  return [
    ...[...expected].filter(([line]) => !found.has(line)).map(([, quoted]) => `${quoted} is not in it`),
    ...[...found].filter((line) => !expected.has(line)).map((line) => `it has ${line}, which was not there`),
  ];
}

/** Rows by table, both as `gt.gt_raw`; what differs, in words. */
export function comparedWithRows(
  dumped: ReadonlyMap<string, number>,
  counted: ReadonlyMap<string, number>,
): readonly string[] {
  return [...new Set([...dumped.keys(), ...counted.keys()])].flatMap((table) => {
    const [inDump, inSnapshot] = [dumped.get(table), counted.get(table)];
    return inDump === inSnapshot
      ? []
      : [`${table} has ${inDump ?? "no"} rows in it, and ${inSnapshot ?? "no"} in its snapshot`];
  });
}

const newline = 10;

/**
 * Rows of each table in what `pg_restore --data-only --file=-` prints, by the table's name as SQL has it. Its COPY ends with a line that
 * is `\.` and nothing else, which no row can be.
 * @throws Error where the last table has no end
 */
export async function countRows(script: Readable): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  /** Whose rows come; undefined between two tables. */
  let table: string | undefined;
  let rows = 0;
  let statement = "";
  const endOf = (line: Buffer) => {
    if (table === undefined) {
      statement = continued(statement, line.toString("utf8"));
      table = copiedTable(statement);
      if (table !== undefined) [statement, rows] = ["", 0];
    } else if (line.length === 2 && line.toString("latin1") === "\\.") {
      counts.set(table, rows + (counts.get(table) ?? 0));
      table = undefined;
    } else rows++;
  };
  // Bytes, not text: gigabytes go through here, and of a row no more than its begin is looked at.
  let begun: Buffer = Buffer.alloc(0);
  const kept = (part: Buffer) => (table === undefined || begun.length < 3 ? part : part.subarray(0, 0));
  for await (const chunk of script as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const part = chunk.subarray(from, end);
      endOf(begun.length === 0 ? part : Buffer.concat([begun, kept(part)]));
      if (begun.length > 0) begun = Buffer.alloc(0);
      from = end + 1;
    }
    if (from < chunk.length) begun = Buffer.concat([begun, kept(chunk.subarray(from))]);
  }
  if (table !== undefined) throw new Error(`the rows of ${table} have no end`);
  return counts;
}

/** A statement's text with one more line; a name with line breaks goes on, a comment between statements is none. */
function continued(statement: string, line: string): string {
  const isWhole = /;\s*$/.test(statement) && !isQuoted(statement);
  if (statement !== "" && !isWhole) return `${statement}\n${line}`;
  return line.startsWith("--") ? "" : line;
}

/** Whether a text ends inside '…' or "…". */
function isQuoted(text: string): boolean {
  let open = "";
  for (const [mark] of text.matchAll(/['"]/g)) {
    if (open === "") open = mark;
    else if (open === mark) open = "";
  }
  return open !== "";
}

/** `COPY gt."gt_Raw" (id) FROM stdin;` is of `gt."gt_Raw"`; undefined for another statement, or a part of one. */
function copiedTable(statement: string): string | undefined {
  if (!statement.endsWith(" FROM stdin;") || isQuoted(statement)) return undefined;
  const identifier = `(?:"(?:[^"]|"")*"|[^".\\s(]+)`;
  return new RegExp(`^COPY (${identifier}\\.${identifier}) `).exec(statement)?.[1];
}
