import type { Command } from "commander";
import { requireEngine } from "../engine";
import { readStack } from "../stack-file";
import { recover } from "./recover";

const say = (text: string) => process.stdout.write(`${text}\n`);

/** `npm run ops -- recover`. */
export function addRecoverCommand(program: Command): void {
  program
    .command("recover")
    .description(
      "On a new machine: bring a stack that is lost with its machine back from the second copy, so far that a restore can begin. " +
        "Asks for the passphrase where the environment does not have it. Overwrites nothing.",
    )
    .requiredOption("--stack <name>", "the stack, which has a file Pulumi.<name>.yaml")
    .option(
      "--from <folder>",
      "the second copy's folder on the engine's machine; else the stack's centraldb:backupCopy",
    )
    .action(async ({ stack: name, from }: { stack: string; from?: string }) => {
      const stack = readStack(name);
      requireEngine(stack.dockerHost);
      await recover(stack, from, say);
    });
}
