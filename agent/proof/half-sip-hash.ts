/**
 * HalfSipHash-2-4 of 64 bits, by J.-P. Aumasson and D. J. Bernstein: of 32-bit words, which JavaScript computes as fast as any. Of Node's
 * own hashes each call costs more than a row.
 */
export class HalfSipHash {
  private readonly keys: readonly [number, number];
  private v0 = 0;
  private v1 = 0;
  private v2 = 0;
  private v3 = 0;
  /** Up to three bytes that are no word yet, and how many bytes there were. */
  private word = 0;
  private length = 0;

  /** @param key 16 hexadecimal digits: eight bytes */
  constructor(key: string) {
    const bytes = Buffer.from(key, "hex");
    this.keys = [bytes.readInt32LE(0), bytes.readInt32LE(4)];
    this.begin();
  }

  add(chunk: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to && (this.length & 3) !== 0) this.addByte(chunk[at++] ?? 0);
    const first = at;
    for (const whole = to - 3; at < whole; at += 4) {
      this.compress(
        (chunk[at] ?? 0) | ((chunk[at + 1] ?? 0) << 8) | ((chunk[at + 2] ?? 0) << 16) | ((chunk[at + 3] ?? 0) << 24),
      );
    }
    this.length += at - first;
    while (at < to) this.addByte(chunk[at++] ?? 0);
  }

  /** The hash of what was added, as two unsigned words; what comes next is another's. */
  end(): readonly [number, number] {
    this.compress(this.word | (this.length << 24));
    this.v2 ^= 0xee;
    this.rounds(4);
    const first = (this.v1 ^ this.v3) >>> 0;
    this.v1 ^= 0xdd;
    this.rounds(4);
    const second = (this.v1 ^ this.v3) >>> 0;
    this.begin();
    return [first, second];
  }

  private begin(): void {
    const [k0, k1] = this.keys;
    this.v0 = k0;
    this.v1 = k1 ^ 0xee;
    this.v2 = 0x6c796765 ^ k0;
    this.v3 = 0x74656462 ^ k1;
    this.word = 0;
    this.length = 0;
  }

  private addByte(byte: number): void {
    this.word |= byte << (8 * (this.length & 3));
    this.length++;
    if ((this.length & 3) !== 0) return;
    this.compress(this.word);
    this.word = 0;
  }

  private compress(word: number): void {
    this.v3 ^= word;
    this.rounds(2);
    this.v0 ^= word;
  }

  private rounds(count: number): void {
    let [v0, v1, v2, v3] = [this.v0, this.v1, this.v2, this.v3];
    for (let round = 0; round < count; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    [this.v0, this.v1, this.v2, this.v3] = [v0, v1, v2, v3];
  }
}
