/** PostgreSQL's default, which initdb was not told otherwise. */
export const segmentBytes = 16 * 1024 ** 2;

/** `0/3000028` in bytes. */
export function parseLsn(lsn: string): bigint {
  const [high = "0", low = "0"] = lsn.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

/** The number of the segment a position is in. */
export function segmentNumber(lsn: string): number {
  return Number(parseLsn(lsn) / BigInt(segmentBytes));
}

/** Segments in what the middle of a name counts. */
export const segmentsPerHigh = 2 ** 32 / segmentBytes;

/** `000000010000000000000007` */
export function segmentName(timeline: number, number: number): string {
  const parts = [timeline, Math.floor(number / segmentsPerHigh), number % segmentsPerHigh];
  return parts.map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("");
}
