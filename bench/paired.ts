import { table } from "../ops/table";

/** One of the things compared; resolves when the measured work is done, with its seconds where it knows them better. */
export interface Side {
  readonly name: string;
  readonly run: () => unknown;
}

/** Runs all sides in turn, `runs` times, and prints minimum, median, maximum in seconds and each median against the first. */
export async function measurePaired(sides: readonly Side[], runs: number): Promise<void> {
  const seconds = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  for (let round = 1; round <= runs; round++) {
    for (const { name, run } of sides) {
      const start = performance.now();
      const known = await run();
      seconds.get(name)?.push(typeof known === "number" ? known : (performance.now() - start) / 1000);
    }
    process.stderr.write(`run ${round} of ${runs}\n`);
  }
  const medians = sides.map(({ name }) => median(seconds.get(name) ?? []));
  const rows = sides.map(({ name }, index) => {
    const values = seconds.get(name) ?? [];
    const ratio = (medians[index] ?? NaN) / (medians[0] ?? NaN);
    return [
      name,
      ...[Math.min(...values), median(values), Math.max(...values)].map((value) => value.toFixed(2)),
      ratio.toFixed(2),
    ];
  });
  process.stdout.write(`${table([["", "min s", "median s", "max s", "ratio"], ...rows])}\n`);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
