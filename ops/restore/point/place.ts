import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dataMount, noteFile, restoreContainer, restoredFolder } from "../../../components/backup/restore-files";
import { docker } from "../../../components/cluster/docker-cli";
import { findVolumes } from "../../../components/cluster/survey";
import { dockerNames, nodeNames, peerOf, type NodeName } from "../../../components/naming";
import { printable } from "../../../services/printable";
import { dataOf, ownNodes } from "../../lifecycle/nodes";
import { OperatorError } from "../../operator-error";
import type { Stack } from "../../stack-file";

/** How far a restore is; kept in the volume, so that a command that was killed is gone on with. */
export interface RestoreNote {
  /** Being recovered, or looked at · promoted and as the plan says, stopped · the node's own data directory. */
  readonly phase: "recovering" | "ready" | "swapped";
  /** In words. */
  readonly target: string;
  /** A data directory that is to be the current one again; null where one is restored from the backups. */
  readonly from: string | null;
  /** Under which name the current data directory is kept; null until it is known. */
  readonly keepAs: string | null;
}

/** The node a restore is for, and what its volume has. */
export interface RestorePlace {
  readonly stack: Stack;
  readonly node: NodeName;
  /** Image of the agent: tools of the servers' own version. */
  readonly image: string;
  readonly note: RestoreNote | undefined;
  /** Data directories in the volume, by name. */
  readonly folders: readonly string[];
}

export const containerOf = ({ stack, node }: Pick<RestorePlace, "stack" | "node">): string =>
  dockerNames(stack.settings.namePrefix)[node].container;

export const lookContainer = (place: Pick<RestorePlace, "stack" | "node">): string =>
  restoreContainer(containerOf(place));

const script = readFileSync(join(__dirname, "volume.sh"), "utf8");

/**
 * Where a restore is under way; else the node whose data are a primary's, and where none is, the one the stack's file names.
 * @throws OperatorError where two are primaries, a volume is another stack's or missing, or there is no image
 */
export function findPlace(stack: Stack): RestorePlace {
  const { settings, dockerHost, name } = stack;
  const names = dockerNames(settings.namePrefix);
  const nodes = ownNodes(stack);
  const volumes = findVolumes(
    nodeNames.map((node) => names[node].volume),
    dockerHost,
  );
  const foreign = volumes.find(({ stack: maker }) => maker !== undefined && maker !== name);
  if (foreign !== undefined) throw new OperatorError(`the volume ${foreign.name} is of stack ${String(foreign.stack)}`);
  const image = imageOf(stack);
  const places = nodeNames
    .filter((node) => volumes.some(({ name: volume }) => volume === names[node].volume))
    .map((node) => lookInto({ stack, node, image }));
  const begun = places.find(({ note }) => note !== undefined);
  if (begun !== undefined) return begun;

  const data = dataOf(stack, nodes);
  const primaries = nodeNames.filter((node) => data[node].role === "primary");
  const [primary] = primaries;
  if (primary !== undefined && primaries.length > 1 && primaries.every((node) => data[node].running)) {
    throw new OperatorError(`both servers are primaries: stop the one that must not serve, then again`);
  }
  const node = primaries.length === 1 && primary !== undefined ? primary : settings.primaryNode;
  const found = places.find((place) => place.node === node);
  if (found !== undefined) return found;
  const { volume } = names[node];
  throw new OperatorError(
    `the volume ${volume} does not exist: docker volume create --label centraldb.stack=${name} ${volume}, then again`,
  );
}

/** Runs an action of volume.sh on a node's volume; what it printed. */
export function inVolume(
  { stack, node, image }: Pick<RestorePlace, "stack" | "node" | "image">,
  ...action: readonly string[]
): string {
  const { volume } = dockerNames(stack.settings.namePrefix)[node];
  const variables = { DATA: dataMount, NOTE: noteFile, RESTORED: restoredFolder };
  const { status, stdout, stderr } = docker(
    [
      ...["run", "--rm", "--network", "none", "--user", "postgres", "--volume", `${volume}:${dataMount}`],
      ...Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
      ...["--entrypoint", "bash", image, "-c", script, "volume", ...action],
    ],
    { host: stack.dockerHost },
  );
  if (status !== 0) throw new OperatorError(`${volume}: ${action[0] ?? ""}: ${printable(stderr.trim())}`);
  return stdout;
}

/** The same node as its volume is now. */
export function lookInto(place: Pick<RestorePlace, "stack" | "node" | "image">): RestorePlace {
  const [note = "null", ...folders] = inVolume(place, "look").split("\n").filter(Boolean);
  return { ...place, note: (JSON.parse(note) as RestoreNote | null) ?? undefined, folders };
}

export function writeNote(place: RestorePlace, note: RestoreNote): void {
  inVolume(place, "note", JSON.stringify(note));
}

/** The other node. */
export function peerPlace({ stack, node, image }: RestorePlace): Pick<RestorePlace, "stack" | "node" | "image"> {
  return { stack, node: peerOf(node), image };
}

function imageOf({ name, settings, dockerHost: host }: Stack): string {
  const { container } = dockerNames(settings.namePrefix).backup;
  const own = docker(["inspect", "--type", "container", "--format", "{{.Image}}", container], { host }).stdout.trim();
  if (own !== "") return own;
  // The newest: its container may be gone with the rest.
  const [built] = docker(["image", "ls", "--quiet", container], { host }).stdout.split("\n");
  if (built !== undefined && built !== "") return built;
  throw new OperatorError(`${container} does not exist, nor its image: npm run up -- ${name}`);
}
