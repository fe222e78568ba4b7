import { spawnSync } from "node:child_process";
import { restoreContainer } from "../../components/backup/restore-files";
import { docker } from "../../components/cluster/docker-cli";
import { findVolumes } from "../../components/cluster/survey";
import { containerKeys, dockerNames, nodeNames } from "../../components/naming";
import { OperatorError } from "../operator-error";
import { typed } from "../typed";
import { projectFolder, type Stack } from "../stack-file";
import { pulumiEnvironment } from "../pulumi-cli";
import { ownNodes, stopNodes } from "./nodes";
import { refuseWhileUpdating } from "./update-lock";

/**
 * Removes a stack with its data, protected or not: containers, volumes, network, and what pulumi knows of it. Needs neither
 * state nor passphrase.
 * @param confirmed the stack's name as a person has typed it; undefined: asks
 * @throws OperatorError where another name was typed, an update is under way, or other containers use the network
 */
export async function wipe(stack: Stack, confirmed: string | undefined, say: (line: string) => void): Promise<void> {
  const names = dockerNames(stack.settings.namePrefix);
  const host = { host: stack.dockerHost };
  const env = pulumiEnvironment();
  refuseWhileUpdating(stack.name, env);
  const nodes = ownNodes(stack);
  const restores = nodeNames
    .map((node) => restoreContainer(names[node].container))
    .filter((name) => docker(["inspect", "--type", "container", name], host).status === 0);
  const containers = [
    ...containerKeys.filter((key) => nodes[key] !== undefined).map((key) => names[key].container),
    ...restores,
  ];
  const list = (...args: string[]) => docker(args, host).stdout.split("\n").filter(Boolean);
  const known = [
    ...[names.primary.volume, names.replica.volume, names.configVolume],
    ...[names.backup.volume, names.drill.volume],
  ];
  const found = findVolumes(known, stack.dockerHost);
  const other = found.find((volume) => volume.stack !== undefined && volume.stack !== stack.name);
  if (other?.stack !== undefined) {
    throw new OperatorError(`nothing was removed: the volume ${other.name} is of stack ${other.stack}`);
  }
  const volumes = found.map(({ name }) => name);
  const networks = list("network", "ls", "--format", "{{.Name}}", "--filter", `name=^${names.network}$`);
  const attached = networks.flatMap((network) =>
    list("network", "inspect", "--format", '{{range .Containers}}{{.Name}}{{"\\n"}}{{end}}', network),
  );
  const others = attached.filter((name) => !containers.includes(name));
  if (others.length > 0) {
    throw new OperatorError(
      `nothing was removed: ${others.join(", ")} still use network ${names.network}; stop them first`,
    );
  }
  say(`Removes stack ${stack.name} with all its data and all its backups:`);
  for (const [kind, found] of Object.entries({ containers, volumes, networks })) {
    say(`  ${kind}: ${found.join(", ") || "none"}`);
  }
  say("  the stack's state, with every password");
  if ((confirmed ?? (await typed(`Type the stack's name to remove all this: `))) !== stack.name) {
    throw new OperatorError("nothing was removed: the name typed is not the stack's");
  }
  stopNodes(stack, say);
  const remove = (args: readonly string[]) => {
    const { status, stderr } = docker(args, host);
    if (status !== 0) throw new OperatorError(`docker ${args.join(" ")}: ${stderr.trim()}`);
  };
  for (const container of containers) remove(["rm", "--force", "--volumes", container]);
  for (const volume of volumes) remove(["volume", "rm", volume]);
  for (const network of networks) remove(["network", "rm", network]);
  forgetState(stack.name, env);
  say(`Stack ${stack.name} is gone. npm run up -- ${stack.name} makes a new one, with nothing in it.`);
}

/** A state that is not there is no mistake. */
function forgetState(stack: string, env: NodeJS.ProcessEnv): void {
  const options = { cwd: projectFolder, env, encoding: "utf8" as const };
  const args = ["stack", "rm", stack, "--force", "--yes", "--preserve-config", "--non-interactive"];
  const { status, stderr } = spawnSync("pulumi", args, options);
  if (status !== 0 && !/no stack named|unable to open state directory/.test(stderr)) {
    throw new OperatorError(`the data are gone, the state is not: pulumi ${args.join(" ")}: ${stderr.trim()}`);
  }
}
