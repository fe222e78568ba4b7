import { readFileSync } from "node:fs";
import { Command } from "commander";
import { explain, OperatorError } from "../operator-error";
import { formatPreview } from "./page";
import { readPreview } from "./read-preview";

const program = new Command("npm run preview:summary --")
  .description(
    "What up would do, as Markdown for a pull request: what restarts a server or deletes data on top, rights as SQL, servers by " +
      "name. Values that are secret, or known only after up, are not printed.",
  )
  .argument("[file]", "what pulumi preview --json printed (default: standard input)")
  .addHelpText("after", "\npulumi preview --json -s dev | npm run --silent preview:summary")
  .allowExcessArguments(false);

function main(): void {
  const [file] = program.parse().processedArgs as [string | undefined];
  if (file === undefined && process.stdin.isTTY) {
    throw new OperatorError("expected a file, or on standard input what pulumi preview --json prints; see --help");
  }
  process.stdout.write(formatPreview(readPreview(read(file), file ?? "standard input")));
}

function read(file: string | undefined): string {
  try {
    return readFileSync(file ?? 0, "utf8");
  } catch (error) {
    throw new OperatorError(`${file ?? "standard input"}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}
