import type { Readable } from "node:stream";
import { RowSum, together, type RowKey, type TableContents } from "./row-sum";

/** A table as the catalog of the dump's own snapshot has it. */
export interface DumpedTable {
  readonly schema: string;
  readonly name: string;
  /** As SQL names it: `gt."gt_Raw"`. */
  readonly quoted: string;
  /** The same of the partitioned table it is a part of; else its own. */
  readonly root: string;
  readonly owner: string;
}

/** What `pg_restore --list` says of a dump's tables and the catalog of its snapshot does not, or the other way round; in words. */
export function comparedWithList(list: string, tables: readonly DumpedTable[]): readonly string[] {
  // "3456; 0 16400 TABLE DATA gt gt_raw_data gtown": a name may have spaces, and a line break is a space there.
  const found = new Set(list.split("\n").flatMap((line) => /^\d+; \d+ \d+ TABLE DATA (.*)$/s.exec(line)?.[1] ?? []));
  const oneLine = (text: string) => text.replaceAll(/[\r\n]/g, " ");
  const expected = new Map(
    tables.map(({ schema, name, owner, quoted }) => [oneLine(`${schema} ${name} ${owner}`), quoted] as const),
  );
  return [
    ...[...expected].filter(([line]) => !found.has(line)).map(([, quoted]) => `${quoted} is not in it`),
    ...[...found].filter((line) => !expected.has(line)).map((line) => `it has ${line}, which was not there`),
  ];
}

/** Which sequences a dump has values of, and which the catalog of its snapshot has; what differs, in words. */
export function comparedSequences(dumped: readonly string[], expected: readonly string[]): readonly string[] {
  const [inDump, inSnapshot] = [new Set(dumped), new Set(expected)];
  return [
    ...expected.filter((name) => !inDump.has(name)).map((name) => `sequence ${name} is not in it`),
    ...dumped.filter((name) => !inSnapshot.has(name)).map((name) => `it has sequence ${name}, which was not there`),
  ];
}

/** What tables have, both as `gt.gt_raw`; what differs, in words. */
export function comparedContents(
  dumped: ReadonlyMap<string, TableContents>,
  read: ReadonlyMap<string, TableContents>,
): readonly string[] {
  return [...new Set([...dumped.keys(), ...read.keys()])].flatMap((table) => {
    const [inDump, inSnapshot] = [dumped.get(table), read.get(table)];
    if (inDump?.rows !== inSnapshot?.rows) {
      return [`${table} has ${inDump?.rows ?? "no"} rows in it, and ${inSnapshot?.rows ?? "no"} in its snapshot`];
    }
    return inDump?.hash === inSnapshot?.hash ? [] : [`${table} has other values in it than in its snapshot`];
  });
}

/** Contents of tables, those of partitions at their root. */
export function byRoot(
  contents: ReadonlyMap<string, TableContents>,
  roots: ReadonlyMap<string, string>,
): ReadonlyMap<string, TableContents> {
  const sums = new Map<string, TableContents>();
  for (const [table, own] of contents) {
    const root = roots.get(table) ?? table;
    const others = sums.get(root);
    sums.set(root, others === undefined ? own : together(others, own));
  }
  return sums;
}

const newline = 10;

/**
 * Hands each line of a stream over, as bytes: gigabytes go through here. Of a long one no more than the chunk it begins in is kept
 * where `enough` says how many bytes are; `onPart` has all of it before, piece by piece.
 */
async function eachLine(
  stream: Readable,
  enough: () => number,
  onLine: (line: Buffer) => void,
  onPart: (chunk: Buffer, from: number, to: number) => void = () => undefined,
): Promise<void> {
  let begun: Buffer = Buffer.alloc(0);
  const more = (part: Buffer) => (begun.length < enough() ? Buffer.concat([begun, part]) : begun);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const part = chunk.subarray(from, end);
      onPart(chunk, from, end);
      onLine(begun.length === 0 ? part : more(part));
      if (begun.length > 0) begun = Buffer.alloc(0);
      from = end + 1;
    }
    if (from === chunk.length) continue;
    onPart(chunk, from, chunk.length);
    begun = more(chunk.subarray(from));
  }
}

/** Those of `wanted` that are lines of a text. An owner's setting in it may be hundreds of megabytes, and as many lines. */
export async function linesAmong(wanted: readonly string[], stream: Readable): Promise<ReadonlySet<string>> {
  const asked = new Set(wanted);
  const bytes = Math.max(...wanted.map((line) => Buffer.byteLength(line))) + 1;
  const found = new Set<string>();
  await eachLine(
    stream,
    () => bytes,
    (line) => {
      const text = line.subarray(0, bytes).toString("utf8");
      if (asked.has(text)) found.add(text);
    },
  );
  return found;
}

/** `last_value` and `is_called` of a sequence; a decimal number, which may be larger than JavaScript's. */
export interface SequenceValue {
  readonly last: string;
  readonly isCalled: boolean;
}

/** What the data of a dump are, by name as SQL has it. */
export interface DumpedData {
  readonly contents: ReadonlyMap<string, TableContents>;
  readonly sequences: Readonly<Record<string, SequenceValue>>;
}

/**
 * Reads what `pg_restore --data-only --file=-` prints: rows of each table, values of each sequence. A table's COPY ends with a line
 * that is `\.` and nothing else, which no row can be.
 * @throws Error where the last table has no end, or a sequence is set twice, or to what is no number
 */
export async function readData(script: Readable, key: RowKey): Promise<DumpedData> {
  const found = new Map<string, TableContents>();
  const sequences: Record<string, SequenceValue> = {};
  /** Whose rows come; undefined between two tables. */
  let table: string | undefined;
  let sum = new RowSum(key);
  const statement = new Statement();
  const onLine = (line: Buffer) => {
    if (table === undefined) {
      statement.add(line.toString("utf8"));
      table = statement.copiedTable();
      sum = new RowSum(key);
      const value = statement.setSequence();
      if (value === undefined) return;
      if (value[0] in sequences) throw new Error(`${value[0]} is set twice`);
      sequences[value[0]] = value[1];
    } else if (line.length === 2 && line.toString("latin1") === "\\.") {
      sum.dropRow();
      const others = found.get(table);
      found.set(table, others === undefined ? sum.contents() : together(others, sum.contents()));
      table = undefined;
    } else sum.endRow();
  };
  const onPart = (chunk: Buffer, from: number, to: number) => {
    if (table !== undefined) sum.add(chunk, from, to);
  };
  await eachLine(script, () => (table === undefined ? Infinity : 3), onLine, onPart);
  if (table !== undefined) throw new Error(`the rows of ${table} have no end`);
  return { contents: found, sequences };
}

/** A statement as it comes, line by line. Names may have line breaks, thousands of them: each line is looked at once. */
class Statement {
  private lines: string[] = [];
  /** `'` or `"` where a line ends inside such quotes. */
  private quote = "";

  add(line: string): void {
    if (this.isWhole()) this.lines = [];
    // A comment stands between statements.
    if (this.lines.length === 0 && (line === "" || line.startsWith("--"))) return;
    this.lines.push(line);
    for (const [mark] of line.matchAll(/['"]/g)) {
      if (this.quote === "") this.quote = mark;
      else if (this.quote === mark) this.quote = "";
    }
  }

  private isWhole(): boolean {
    return this.quote === "" && /;\s*$/.test(this.lines.at(-1) ?? "");
  }

  /** `COPY gt."gt_Raw" (id) FROM stdin;` is of `gt."gt_Raw"`; undefined for another statement, or a part of one. */
  copiedTable(): string | undefined {
    if (!this.isWhole() || !(this.lines.at(-1) ?? "").endsWith(" FROM stdin;")) return undefined;
    const identifier = `(?:"(?:[^"]|"")*"|[^".\\s(]+)`;
    return new RegExp(`^COPY (${identifier}\\.${identifier}) `).exec(this.lines.join("\n"))?.[1];
  }

  /**
   * `SELECT pg_catalog.setval('gt.gt_s', 5, true);` is of `gt.gt_s`; undefined for another statement.
   * @throws Error where it is more than that: pg_dump writes what it has read as it is
   */
  setSequence(): readonly [name: string, SequenceValue] | undefined {
    if (!this.isWhole() || !(this.lines[0] ?? "").startsWith("SELECT pg_catalog.setval(")) return undefined;
    const call = /^SELECT pg_catalog\.setval\('((?:[^']|'')*)', (-?\d+), (true|false)\);$/.exec(this.lines.join("\n"));
    if (call === null)
      throw new Error(`it sets a sequence to what is no number: ${(this.lines[0] ?? "").slice(0, 200)}`);
    const [, name = "", last = "", isCalled] = call;
    return [name.replaceAll("''", "'"), { last, isCalled: isCalled === "true" }];
  }
}
