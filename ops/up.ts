import { spawnSync } from "node:child_process";
import { Command } from "commander";
import { requireEngine } from "./engine";
import { OperatorError } from "./operator-error";
import { prepareLocalState, pulumiEnvironment } from "./pulumi-cli";
import { projectFolder, readStack } from "./stack-file";

/**
 * `pulumi up` for whoever has no Pulumi account: finds the CLI, keeps the state in .pulumi-state and its passphrase in a
 * file only its owner can read, both unless configured otherwise, and creates the stack where it is missing.
 */
const program = new Command("npm run up --")
  .description("Bring the platform up by pulumi; without a Pulumi account the state is kept in .pulumi-state.")
  .argument("[stack]", "a stack that has a file Pulumi.<stack>.yaml", "dev")
  .argument("[options...]", "options of pulumi up, such as --yes")
  .allowUnknownOption()
  .passThroughOptions();

function main(): number {
  const [first, rest] = program.parse().processedArgs as [string, string[]];
  const [stack, options] = first.startsWith("-") ? ["dev", [first, ...rest]] : [first, rest];
  if (options.some((option) => /^(-s|--stack)(=|$)/.test(option))) {
    throw new OperatorError("the stack is the first word, not an option: npm run up -- prod --yes");
  }
  const { dockerHost } = readStack(stack);
  if (options[0] !== undefined && !options[0].startsWith("-")) {
    throw new OperatorError(`unexpected "${options[0]}": after the stack come options of pulumi up, such as --yes`);
  }
  requireEngine(dockerHost);
  const env = pulumiEnvironment();
  prepareLocalState(stack);
  const run = (args: readonly string[]) => {
    const { status, signal, error } = spawnSync("pulumi", args, { cwd: projectFolder, env, stdio: "inherit" });
    if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
    return signal === null ? (status ?? 1) : 130;
  };
  return run(["stack", "select", "--create", stack]) || run(["up", "--stack", stack, ...options]);
}

// Ctrl-C is for pulumi, which then ends in its own time; this process stays until it has.
process.on("SIGINT", () => undefined);

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${error instanceof OperatorError ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = 1;
}
