import { createReadStream, existsSync, statSync } from "node:fs";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { inALine } from "../failure";
import { type Segment, type Stretch } from "../wal-archive";
import { segmentBytes, segmentName } from "../wal-position";

/** What is wrong with a stretch, in words: a segment that is missing, or is not what was received. */
export async function flawsOf({ segments }: Stretch): Promise<readonly string[]> {
  const flaws: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const before = segments[index - 1];
    if (before !== undefined) flaws.push(...missingBetween(before, segment));
    const bytes = await contentBytes(segment).catch((error: unknown) => inALine(error));
    if (!existsSync(segment.file) && !existsSync(`${segment.file}.gz`)) continue; // nobody needs it since
    if (bytes !== segmentBytes) flaws.push(`${segment.name}: ${typeof bytes === "string" ? bytes : `${bytes} bytes`}`);
  }
  return flaws;
}

/** Of a gap in which the timeline changes nobody knows at which segment it did. */
function missingBetween(before: Segment, after: Segment): readonly string[] {
  const missing = after.number - before.number - 1;
  if (missing < 1) return [];
  if (before.timeline !== after.timeline) return [`WAL between ${before.name} and ${after.name} is missing`];
  const first = segmentName(before.timeline, before.number + 1);
  return [
    missing === 1 ? `${first} is missing` : `${first} to ${segmentName(after.timeline, after.number - 1)} are missing`,
  ];
}

/** Reads it to its end; gzip has a checksum of what is in it. */
async function contentBytes({ file: found, compressed }: Segment): Promise<number> {
  // The agent may have compressed it since it was found.
  const file = compressed || existsSync(found) ? found : `${found}.gz`;
  if (!file.endsWith(".gz")) return statSync(file).size;
  let bytes = 0;
  const counter = new Writable({
    write(chunk: Buffer, _, done) {
      bytes += chunk.length;
      done();
    },
  });
  await pipeline(createReadStream(file), createGunzip(), counter);
  return bytes;
}
