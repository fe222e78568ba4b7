import { Command } from "commander";
import { benchmarks } from "./benchmarks";

const program = new Command("npm run bench --")
  .description("Measures, paired and interleaved, as ratios. Nothing is asserted: the machines are noisy.")
  .argument("<name>", `one of: ${Object.keys(benchmarks).join(", ")}`)
  .option("--runs <number>", "runs of each side", Number, 7)
  .showHelpAfterError();

async function main(): Promise<void> {
  const [name] = program.parse().processedArgs as [string];
  const benchmark = benchmarks[name];
  if (benchmark === undefined) return program.error(`unknown benchmark "${name}"`);
  await benchmark(program.opts<{ runs: number }>().runs);
}

void main();
