import { spawnSync } from "node:child_process";
import { Command } from "commander";
import { show } from "../services/printable";
import { handOverState } from "./backup/list";
import { requireEngine } from "./engine";
import { startNodes } from "./lifecycle/nodes";
import {
  clearPendingCreates,
  exportState,
  exportStateText,
  refreshLostNetwork,
  refuseVainRefresh,
} from "./lifecycle/pulumi-state";
import { refuseWhileUpdating, removeStaleLocks } from "./lifecycle/update-lock";
import { explain, OperatorError } from "./operator-error";
import { prepareLocalState, pulumiEnvironment } from "./pulumi-cli";
import { projectFolder, readStack, type Stack } from "./stack-file";

/**
 * `pulumi up` for whoever has no Pulumi account: finds the CLI, keeps the state in .pulumi-state and its passphrase in a
 * file only its owner can read, both unless configured otherwise, and creates the stack where it is missing.
 */
const say = (line: string) => process.stdout.write(`${line}\n`);

const program = new Command("npm run up --")
  .description("Bring the platform up by pulumi; without a Pulumi account the state is kept in .pulumi-state.")
  .argument("[stack]", "a stack that has a file Pulumi.<stack>.yaml", "dev")
  .argument("[options...]", "options of pulumi up, such as --yes")
  .addHelpText(
    "after",
    "\n--adopt lets a stack whose state is lost take over the data the engine has, with new passwords.",
  )
  .allowUnknownOption()
  .passThroughOptions();

async function main(): Promise<number> {
  const [first, rest] = program.parse().processedArgs as [string, string[]];
  const [name, given] = first.startsWith("-") ? ["dev", [first, ...rest]] : [first, rest];
  const options = given.filter((option) => option !== "--adopt");
  if (options.some((option) => /^(-[a-z]*s|--stack)/.test(option))) {
    throw new OperatorError("the stack is the first word, not an option: npm run up -- prod --yes");
  }
  const stack = readStack(name);
  if (options[0] !== undefined && !options[0].startsWith("-")) {
    throw new OperatorError(`unexpected ${show(options[0])}: after the stack come options of pulumi up, such as --yes`);
  }
  requireEngine(stack.dockerHost);
  const env = { ...pulumiEnvironment(), ...(options.length < given.length ? { CENTRALDB_ADOPT: name } : {}) };
  prepareLocalState(name);
  refuseWhileUpdating(name, env);
  if (removeStaleLocks(name, env) > 0) say("The last update was killed; its lock is removed.");
  // What is stopped pulumi neither sees nor starts. What does not start the update may mend.
  await startNodes(stack, say).catch((error: unknown) => {
    if (!(error instanceof OperatorError)) throw error;
    say(explain(error));
  });
  // Ctrl-C is for pulumi, which then ends in its own time; this process stays until it has.
  process.on("SIGINT", () => undefined);
  const run = (...args: string[]) => {
    const { status, signal, error } = spawnSync("pulumi", args, { cwd: projectFolder, env, stdio: "inherit" });
    if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
    return signal === null ? (status ?? 1) : 130;
  };
  const selected = run("stack", "select", "--create", name);
  if (selected !== 0) return selected;
  const state = exportState(name, env);
  if (state !== undefined) {
    if (options.some((option) => /^(-r|--refresh)(=true)?$/.test(option))) refuseVainRefresh(state, stack);
    clearPendingCreates(state, name, env);
    refreshLostNetwork(state, stack, env);
  }
  const brought = run("up", "--stack", name, ...options);
  if (brought === 0) keepStateWithBackups(stack, env);
  return brought;
}

/** What cannot be handed over is said, and no reason for a failure: the next up does it. */
function keepStateWithBackups(stack: Stack, env: NodeJS.ProcessEnv): void {
  const state = exportStateText(stack.name, env);
  try {
    if (state !== undefined) handOverState(stack, state);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    say(explain(error));
  }
}

main()
  .then((status) => {
    process.exitCode = status;
  })
  .catch((error: unknown) => {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  });
