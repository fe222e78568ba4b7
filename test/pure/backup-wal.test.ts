import { expect, it } from "vitest";
import { Progress, type WalPosition } from "../../agent/wal-watch";

const begun = 5_000;
const after = (seconds: number) => begun + seconds * 1000;

it.each<[string, readonly (WalPosition | undefined)[], boolean]>([
  ["has everything", Array.from({ length: 20 }, () => ({ written: "0/3000000", behind: 0 })), false],
  ["is behind, and gets on", Array.from({ length: 20 }, (_, n) => ({ written: `0/300000${n}`, behind: 999 })), false],
  ["is behind, and does not get on", Array.from({ length: 20 }, () => ({ written: "0/3000000", behind: 999 })), true],
  ["is not there", Array.from({ length: 20 }, () => ({ written: null, behind: null })), true],
  ["cannot be asked for", Array.from({ length: 20 }, () => undefined), false],
  [
    "is not there for less than a minute",
    [{ written: null, behind: null }, undefined, { written: "0/1", behind: 0 }],
    false,
  ],
])("a receiver that %s", (_, looks, stalled) => {
  const progress = new Progress(begun);
  const told = looks.map((position, n) => progress.isStalled(position, after((n + 1) * 15)));
  expect(told.some(Boolean)).toBe(stalled);
  // Not in the first minute, whatever is seen.
  expect(told.slice(0, 4)).not.toContain(true);
});
