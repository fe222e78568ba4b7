import type { Readable } from "node:stream";

/** A table as the catalog of the dump's own snapshot has it. */
export interface DumpedTable {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly rows: number;
}

/** What `pg_restore --list` says of a dump's tables and the catalog of its snapshot does not, or the other way round; in words. */
export function comparedWithList(list: string, tables: readonly DumpedTable[]): readonly string[] {
  // "3456; 0 16400 TABLE DATA gt gt_raw_data gtown": a name may have spaces, and a line break is a space there.
  const found = new Set(list.split("\n").flatMap((line) => /^\d+; \d+ \d+ TABLE DATA (.*)$/.exec(line)?.[1] ?? []));
  const oneLine = (text: string) => text.replaceAll(/[\r\n]/g, " ");
  const expected = new Map(
    tables.map((table) => [oneLine(`${table.schema} ${table.name} ${table.owner}`), nameOf(table)] as const),
  );
  return [
    ...[...expected].filter(([line]) => !found.has(line)).map(([, name]) => `${name} is not in it`),
    ...[...found].filter((line) => !expected.has(line)).map((line) => `it has ${line}, which was not there`),
  ];
}

export function nameOf({ schema, name }: Pick<DumpedTable, "schema" | "name">): string {
  return `${schema}.${name}`;
}

/**
 * Rows of each table in what `pg_restore --data-only --file=-` prints, in the order of its tables. Each COPY ends with a line
 * that is `\.` and nothing else, which no row can be.
 */
export async function countRows(script: Readable): Promise<readonly number[]> {
  const counts: number[] = [];
  /** Of the table whose rows come; undefined between two. */
  let rows: number | undefined;
  const endOf = (line: string) => {
    if (rows === undefined) rows = line.startsWith("COPY ") ? 0 : undefined;
    else if (line === "\\.") {
      counts.push(rows);
      rows = undefined;
    } else rows++;
  };
  // Bytes, not text: gigabytes go through here, and no more than a line's begin is looked at.
  let begin: Buffer = Buffer.alloc(0);
  for await (const chunk of script as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      endOf(beginOf(begin, chunk.subarray(from, end)).toString("latin1"));
      begin = Buffer.alloc(0);
      from = end + 1;
    }
    begin = beginOf(begin, chunk.subarray(from));
  }
  if (rows !== undefined) throw new Error("the last table's rows have no end");
  return counts;
}

/** So much of a line tells what it is. */
const enough = 8;

function beginOf(known: Buffer, more: Buffer): Buffer {
  if (known.length === 0) return more.subarray(0, enough);
  return known.length >= enough ? known : Buffer.concat([known, more.subarray(0, enough - known.length)]);
}
