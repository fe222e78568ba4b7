import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { docker } from "../../components/cluster/docker-cli";
import { containerType, networkType } from "../../components/lifecycle/state";
import { printable } from "../../services/printable";
import { clearPendingCreates, exportState, type ExportedState } from "../lifecycle/pulumi-state";
import { OperatorError } from "../operator-error";
import { projectFolder, type Stack } from "../stack-file";
import { isSameHistory, saltOf, type CopiedState } from "./copied-state";

/**
 * Makes the stack with the state of the copy, where pulumi does not have it yet.
 * @param text the state, as it is imported
 * @throws OperatorError where the passphrase is another, or pulumi has another state of this stack; that stays as it is
 */
export function importState(
  stack: Stack,
  state: CopiedState,
  text: string,
  env: NodeJS.ProcessEnv,
): "imported" | "there" {
  makeStack(stack, saltOf(state), env);
  const known = exportState(stack.name, env);
  if ((known?.resources?.length ?? 0) === 0) {
    pulumi(stack, env, ["stack", "import", "--stack", stack.name], text);
    return "imported";
  }
  if (isSameHistory(known, state)) {
    // Nothing was decrypted so far.
    pulumi(stack, env, ["stack", "output", "--show-secrets", "--stack", stack.name]);
    return "there";
  }
  throw new OperatorError(
    `pulumi has a state of stack ${stack.name} that is not the second copy's, and it stays: move it away ` +
      `(mv .pulumi-state .pulumi-state.other), or look at the backend you are logged in to; then again`,
  );
}

/** Where the salt was never committed pulumi would make another, and take any passphrase for it. */
function makeStack(stack: Stack, salt: string | undefined, env: NodeJS.ProcessEnv): void {
  const file = join(projectFolder, `Pulumi.${stack.name}.yaml`);
  const text = readFileSync(file, "utf8");
  const isMissing = salt !== undefined && !/^encryptionsalt:/m.test(text);
  if (isMissing) writeFileSync(file, `${text.replace(/\n?$/, "\n")}encryptionsalt: ${salt}\n`);
  try {
    pulumi(stack, env, ["stack", "select", "--create", stack.name]);
  } catch (error) {
    if (isMissing) writeFileSync(file, text);
    throw error;
  }
}

/** What a restore to a point in time needs of the platform. Both nodes are there as a restore leaves them: stopped. */
const needed = ["cluster-network", "cluster-image", "primary-container", "replica-container"];
/** Commands whose results were on the lost machine. */
const madeAgain = ["cluster-configuration", "backup-image"];

/**
 * Makes what a restore needs, and nothing that writes: no agent that would make backups of nothing.
 * @throws OperatorError where pulumi fails, which says why itself
 */
export function bringUpForRestore(stack: Stack, env: NodeJS.ProcessEnv): void {
  const own = ["--stack", stack.name, "--yes", "--skip-preview"];
  const known = exportState(stack.name, env) ?? {};
  clearPendingCreates(known, stack.name, env);
  const lost = ofLostMachine(known, stack.dockerHost);
  // Without a target it would ask for everything.
  if (lost.length > 0) pulumi(stack, env, ["refresh", ...own, ...lost.flatMap((urn) => ["--target", urn])]);
  const up = [
    ...["up", ...own, "--suppress-outputs"],
    ...needed.flatMap((name) => ["--target", `**::${name}`]),
    ...madeAgain.flatMap((name) => ["--target-replace", `**::${name}`]),
  ];
  const { status, error } = spawnSync("pulumi", up, {
    cwd: projectFolder,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
  if (status !== 0)
    throw new OperatorError("pulumi has failed, see above; when that is mended, the same command goes on");
}

/**
 * What the state says of another machine's engine, by URN: pulumi is to see that it is gone. An image of the same name may be another
 * one here. Volumes are known by their names.
 */
function ofLostMachine({ resources = [] }: ExportedState, host: string | undefined): readonly string[] {
  const isHere = (id = "") => docker(["inspect", id], { host }).status === 0;
  return resources
    .filter(({ type, id }) => type === imageType || ((type === containerType || type === networkType) && !isHere(id)))
    .map(({ urn }) => urn);
}

const imageType = "docker:index/remoteImage:RemoteImage";

function pulumi({ name }: Stack, env: NodeJS.ProcessEnv, args: readonly string[], input = ""): void {
  const { status, stdout, stderr, error } = spawnSync("pulumi", [...args, "--non-interactive"], {
    ...{ cwd: projectFolder, env, input },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
  if (status === 0) return;
  if (/incorrect passphrase/.test(stderr)) {
    throw new OperatorError(
      `the passphrase is not that of stack ${name}: got another, expected the one its state was encrypted with (the file ` +
        ".pulumi-state/passphrase of the lost machine had it); nothing was changed",
    );
  }
  throw new OperatorError(`pulumi ${args.slice(0, 2).join(" ")}: ${printable((stderr || stdout).trim())}`);
}
