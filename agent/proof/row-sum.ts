import { randomBytes } from "node:crypto";
import { HalfSipHash } from "./half-sip-hash";

/** What a table has, in whatever order its rows lie. */
export interface TableContents {
  readonly rows: number;
  /**
   * Sum of a 64-bit hash of each row's text in COPY, in hexadecimal: the same rows have the same under the same {@link RowKey}, another
   * value another.
   */
  readonly hash: string;
}

/**
 * 16 hexadecimal digits, made for each dump and kept beside its sums, where no service reads. Without it an owner could find other rows
 * that have the same sum: of hashes that anybody can compute, a few hundred thousand are enough for that (D. Wagner, "A Generalized
 * Birthday Problem", 2002).
 */
export type RowKey = string;

export const newRowKey = (): RowKey => randomBytes(8).toString("hex");

const newline = 10;

/** Counts and sums rows of COPY's text as they come, in pieces: gigabytes go through here. Each is hashed by {@link HalfSipHash}. */
export class RowSum {
  private rows = 0;
  private sums: [number, number] = [0, 0];
  private readonly hash: HalfSipHash;

  constructor(key: RowKey) {
    this.hash = new HalfSipHash(key);
  }

  /** A part of a row, without a line break. */
  add(chunk: Uint8Array, from: number, to: number): void {
    this.hash.add(chunk, from, to);
  }

  endRow(): void {
    this.rows++;
    const [a, b] = this.hash.end();
    this.sums = [(this.sums[0] + a) >>> 0, (this.sums[1] + b) >>> 0];
  }

  /** What was added since the last row's end was none. */
  dropRow(): void {
    this.hash.end();
  }

  /** Whole rows and the begin of the next, each ended by a line break. */
  addText(chunk: Uint8Array): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      this.add(chunk, from, end);
      this.endRow();
      from = end + 1;
    }
    this.add(chunk, from, chunk.length);
  }

  contents(): TableContents {
    return { rows: this.rows, hash: this.sums.map((sum) => sum.toString(16).padStart(8, "0")).join("") };
  }
}

/** Of two tables what one with the rows of both would have. */
export function together(one: TableContents, other: TableContents): TableContents {
  const half = ({ hash }: TableContents, from: number) => parseInt(hash.slice(from, from + 8), 16);
  const sum = (from: number) => ((half(one, from) + half(other, from)) >>> 0).toString(16).padStart(8, "0");
  return { rows: one.rows + other.rows, hash: sum(0) + sum(8) };
}
