import { docker } from "../../components/cluster/docker-cli";
import { stackLabel } from "../../components/cluster/labels";
import { dockerNames, nodeNames } from "../../components/naming";
import { printable } from "../../services/printable";
import { ownNodes } from "../lifecycle/nodes";
import { refuseWhileUpdating, removeStaleLocks } from "../lifecycle/update-lock";
import { OperatorError } from "../operator-error";
import { keepPassphrase, lacksPassphrase, prepareStateFolder, pulumiEnvironment, withPassphrase } from "../pulumi-cli";
import { steps } from "../restore/steps";
import type { Stack } from "../stack-file";
import { typedSecret } from "../typed";
import { parseState, saltOf, stateFlaw } from "./copied-state";
import { bringUpForRestore, importState } from "./pulumi";
import { copyFolder, fillBackups, occupiedVolumes, readCopy, type SecondCopy } from "./second-copy";

type Say = (line: string) => void;

/**
 * Makes a machine that has nothing of a stack ready for a restore, from its second copy: state, backups, and the containers without
 * data. What was killed on its way, or failed, goes on by the same command.
 * @param from the copy's folder on the engine's machine; @default the stack's `centraldb:backupCopy`
 * @throws OperatorError where the machine has data or another state of the stack, the folder is no second copy of it, or the
 * passphrase is another; nothing is changed then
 */
export async function recover(stack: Stack, from: string | undefined, say: Say): Promise<void> {
  const folder = copyFolder(stack, from);
  refuseOccupied(stack);
  const copy = readCopy(stack, folder);
  const state = parseState(copy.state);
  const flaw = stateFlaw(state, stack);
  if (state === undefined || flaw !== undefined) {
    throw new OperatorError(`${printable(folder)}/state/${stack.name}.json: ${flaw ?? "it cannot be read"}`);
  }
  const own = pulumiEnvironment();
  const typed = saltOf(state) !== undefined && lacksPassphrase(own) ? await askPassphrase(stack) : undefined;
  const env = typed === undefined ? own : withPassphrase(own, typed);
  prepareStateFolder(own);
  refuseWhileUpdating(stack.name, env);
  removeStaleLocks(stack.name, env);

  const progress = steps(3, say);
  await progress.run(`the stack's state, of ${folder}`, () => {
    const how = importState(stack, state, copy.state, env);
    const kept = typed === undefined ? undefined : keepPassphrase(own, typed);
    const where = kept === undefined ? "" : `; the passphrase is kept in ${kept}`;
    return done(how === "imported" ? `imported${where}` : `pulumi has it already${where}`);
  });
  await progress.run("backups and WAL, into a volume", () => {
    makeVolumes(stack);
    fillBackups(stack, copy);
    return done(`${copy.backups.length} backups, the newest ${newestOf(copy)}`);
  });
  await progress.run("network, configuration, images, and both servers' containers, without data", () => {
    bringUpForRestore(stack, env);
    stopServers(stack);
    return done("they are stopped until a restore is finished");
  });
  for (const line of next(stack.name)) say(line);
}

const done = (result: string) => Promise.resolve([result, undefined] as const);

const newestOf = ({ backups }: SecondCopy) => backups.at(-1) ?? "none";

/** What is there is never overwritten. */
function refuseOccupied(stack: Stack): void {
  ownNodes(stack); // those of another stack
  const occupied = occupiedVolumes(stack);
  if (occupied.length === 0) return;
  throw new OperatorError(
    `this machine has data of stack ${stack.name} (${occupied.join(", ")}), and recover is for one that has none; nothing was changed: ` +
      `go on with what there is by npm run up -- ${stack.name} or npm run ops -- restore --to-latest --stack ${stack.name}, ` +
      `or be rid of it, backups too, by npm run ops -- wipe --stack ${stack.name}`,
  );
}

async function askPassphrase({ name }: Stack): Promise<string> {
  const passphrase = await typedSecret(`The passphrase of stack ${name}, which is in no copy: `);
  if (passphrase !== "") return passphrase;
  throw new OperatorError("nothing was changed: no passphrase was typed");
}

/** By their names pulumi knows them; docker would make them without the mark of their stack. */
function makeVolumes(stack: Stack): void {
  const names = dockerNames(stack.settings.namePrefix);
  const volumes = [
    ...nodeNames.map((node) => names[node].volume),
    ...[names.configVolume, names.backup.volume, names.drill.volume],
  ];
  for (const volume of volumes) run(stack, "volume", "create", "--label", `${stackLabel}=${stack.name}`, volume);
}

/** They found their volumes empty, and would try again for ever. */
function stopServers(stack: Stack): void {
  const names = dockerNames(stack.settings.namePrefix);
  run(stack, "stop", ...nodeNames.map((node) => names[node].container));
}

function run({ dockerHost }: Stack, ...args: readonly string[]): void {
  const { status, stderr } = docker(args, { host: dockerHost });
  if (status !== 0) throw new OperatorError(`docker ${args.join(" ")}: ${printable(stderr.trim())}`);
}

function next(stack: string): readonly string[] {
  return [
    `stack ${stack} can be restored here:`,
    `  to the last WAL copied:  npm run ops -- restore --to-latest --stack ${stack}`,
    `  then, when you have looked:  npm run ops -- restore finish --stack ${stack}`,
    `  and backups go on by:    npm run up -- ${stack}`,
  ];
}
