import { BackupFailure } from "../failure";
import { StatementEnd } from "./statement-end";

/** What a file of pg_dump's SQL is made of, in its order. */
export type Piece =
  /** A line between two statements, without its end: a comment, or a command of psql's. */
  | { readonly kind: "comment" | "command"; readonly text: string }
  /** A statement with its semicolon; of a long one a part, until one `isEnd`. */
  | { readonly kind: "statement"; readonly bytes: Buffer; readonly isEnd: boolean; readonly hasExtract: boolean }
  /** Of a COPY's rows, with the line that ends them. */
  | { readonly kind: "rows"; readonly bytes: Buffer };

/** More than any statement of pg_dump's has that is no row and no body: a COPY of 1,600 columns with long names. */
const keptBytes = 1024 ** 2;

const [lineEnd, carriageReturn, minus, backslash] = [10, 13, 45, 92];

/** Takes a file apart as it comes in, and keeps no more of it than a statement's beginning: rows and bodies may be gigabytes. */
export class Pieces {
  private place: "between" | "statement" | "copy" | "rows" = "between";
  /** Not looked at yet. */
  private left: Buffer = Buffer.alloc(0);
  private begun: Buffer[] = [];
  private end = new StatementEnd();
  /** A part of the statement is handed over. */
  private isLong = false;
  /** The byte before the rows that come is a line's end. */
  private isLineBegin = true;

  /** Whether nothing has begun that has not ended. */
  get isWhole(): boolean {
    return this.place === "between" && this.left.length === 0;
  }

  /** @throws BackupFailure for what no pg_dump writes */
  *take(chunk: Buffer): Generator<Piece> {
    const bytes = this.left.length === 0 ? chunk : Buffer.concat([this.left, chunk]);
    let at = 0;
    for (let isStuck = false; !isStuck && at < bytes.length;) {
      const from = at;
      switch (this.place) {
        case "between": {
          at = textBegin(bytes, at);
          if (at === bytes.length) break;
          const [byte, next] = [bytes[at], bytes[at + 1]];
          isStuck = next === undefined;
          if (isStuck) break;
          if (byte === backslash || (byte === minus && next === minus)) {
            const end = bytes.indexOf(lineEnd, at);
            isStuck = end < 0;
            if (isStuck) break;
            const text = bytes.toString("utf8", at, end).replace(/\r$/, "");
            yield { kind: byte === minus ? "comment" : "command", text };
            at = end + 1;
          } else {
            this.place = "statement";
            this.end = new StatementEnd();
            this.begun = [];
            this.isLong = false;
          }
          break;
        }
        case "statement": {
          const seen = this.end.find(bytes, at);
          at = seen.at;
          this.begun.push(bytes.subarray(from, at));
          isStuck = !seen.found;
          if (!isStuck) yield this.ended();
          break;
        }
        case "copy": {
          const end = bytes.indexOf(lineEnd, at);
          at = end < 0 ? bytes.length : end + 1;
          if (end < 0) break;
          this.place = "rows";
          this.isLineBegin = true;
          break;
        }
        case "rows": {
          const seen = this.rowsEnd(bytes, at);
          at = seen.at;
          isStuck = !seen.found;
          if (at > from) yield { kind: "rows", bytes: bytes.subarray(from, at) };
          if (seen.found) this.place = "between";
          else if (at > from) this.isLineBegin = bytes[at - 1] === lineEnd;
          break;
        }
      }
    }
    this.left = bytes.subarray(at);
    if (this.left.length > keptBytes) throw new BackupFailure("it has lines that no pg_dump writes");
    if (this.place !== "statement" || size(this.begun) <= keptBytes) return;
    yield { kind: "statement", bytes: Buffer.concat(this.begun), isEnd: false, hasExtract: this.end.hasExtract };
    this.isLong = true;
    this.begun = [];
  }

  private ended(): Piece {
    const bytes = Buffer.concat(this.begun);
    this.begun = [];
    const isCopy = !this.isLong && bytes.length <= keptBytes && /^COPY .* FROM stdin;$/s.test(bytes.toString("latin1"));
    this.place = isCopy ? "copy" : "between";
    return { kind: "statement", bytes, isEnd: true, hasExtract: this.end.hasExtract };
  }

  /** Behind the line that is `\.` and nothing else, which no row can be. */
  private rowsEnd(bytes: Buffer, from: number): { readonly at: number; readonly found: boolean } {
    for (let at = bytes.indexOf("\\.", from); at >= 0; at = bytes.indexOf("\\.", at + 1)) {
      if (!(at === from ? this.isLineBegin : bytes[at - 1] === lineEnd)) continue;
      const end = at + (bytes[at + 2] === carriageReturn ? 3 : 2);
      if (bytes[end] === undefined) return { at, found: false };
      if (bytes[end] === lineEnd) return { at: end + 1, found: true };
    }
    return { at: bytes.length - (bytes.at(-1) === backslash ? 1 : 0), found: false };
  }
}

const size = (list: readonly Buffer[]) => list.reduce((sum, { length }) => sum + length, 0);

function textBegin(bytes: Buffer, from: number): number {
  let at = from;
  while ([32, 9, lineEnd, carriageReturn, 12].includes(bytes[at] ?? 0)) at++;
  return at;
}
