import { Command, InvalidArgumentError } from "commander";
import { benchmarks } from "./benchmarks";

const program = new Command("npm run bench --")
  .description("Measures, paired and interleaved, as ratios. Nothing is asserted: the machines are noisy.")
  .argument("<name>", `one of: ${Object.keys(benchmarks).join(", ")}`)
  .option("--runs <number>", "runs of each side", parseRuns, 7)
  .showHelpAfterError();

async function main(): Promise<void> {
  const [name] = program.parse().processedArgs as [string];
  const benchmark = benchmarks[name];
  if (benchmark === undefined) return program.error(`unknown benchmark "${name}"`);
  await benchmark(program.opts<{ runs: number }>().runs);
}

function parseRuns(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError("expected a number from 1 to 999.");
  return Number(text);
}

void main();
