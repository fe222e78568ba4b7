/** What a table has, in whatever order its rows lie. */
export interface TableContents {
  readonly rows: number;
  /** Sum of a 64-bit hash of each row's text in COPY, in hexadecimal: the same rows have the same, another value another. */
  readonly hash: string;
}

const newline = 10;
const seeds = [0x811c9dc5, 0x9e3779b9] as const;

/** Counts and sums rows of COPY's text as they come, in pieces: gigabytes go through here. */
export class RowSum {
  private rows = 0;
  private sums: [number, number] = [0, 0];
  private row: [number, number] = [...seeds];

  /** A part of a row, without a line break. Two 32-bit FNV-1a hashes, the second with another prime and a rotation. */
  add(chunk: Uint8Array, from: number, to: number): void {
    let [a, b] = this.row;
    for (let index = from; index < to; index++) {
      const byte = chunk[index] ?? 0;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte, 0x85ebca6b);
      b = (b << 13) | (b >>> 19);
    }
    this.row = [a, b];
  }

  endRow(): void {
    this.rows++;
    const [a, b] = this.row;
    this.sums = [(this.sums[0] + mixed(a)) >>> 0, (this.sums[1] + mixed(b)) >>> 0];
    this.row = [...seeds];
  }

  /** What was added since the last row's end was none. */
  dropRow(): void {
    this.row = [...seeds];
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

/** Spreads what differs in a few bits over all: sums of similar rows must not look alike. MurmurHash3's finalizer. */
function mixed(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
