import { setTimeout as sleep } from "node:timers/promises";
import { docker } from "../../components/cluster/docker-cli";
import { primaryContradiction, type NodeRole } from "../../components/cluster/primary-check";
import { findData, findNodes, findVolumes, type Survey } from "../../components/cluster/survey";
import {
  containerKeys,
  dockerNames,
  nodeNames,
  peerOf,
  type ContainerKey,
  type NodeName,
} from "../../components/naming";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";

/** Recovery after a crash takes minutes. */
const startTimeoutMs = 30 * 60_000;

type Say = (line: string) => void;

/** What stands on the servers, in the order in which it is stopped: a drill reads what the backup makes. */
const onServers = ["drill", "backup"] as const satisfies readonly ContainerKey[];

/**
 * Stops both servers cleanly, drill and backup before them, and keeps everything. The primary first: it ends when the standby has all
 * it wrote. They stay stopped over a restart of the engine, until {@link startNodes} or `up`.
 */
export function stopNodes(stack: Stack, say: Say): void {
  const nodes = ownNodes(stack);
  const running = nodeNames.filter((node) => !isStopped(nodes[node]?.state ?? "created"));
  const data = dataOf(stack, nodes);
  const inOrder = [...running].sort((a, b) => rank(data[a].role) - rank(data[b].role));
  const others = onServers.filter((key) => !isStopped(nodes[key]?.state ?? "created"));
  if (others.length + inOrder.length === 0) say(`nothing of stack ${stack.name} runs`);
  for (const key of [...others, ...inOrder]) {
    const { container } = dockerNames(stack.settings.namePrefix)[key];
    say(`${container} stopped in ${seconds(() => run(stack, ["stop", container]))} s`);
  }
}

/**
 * Starts what is stopped: the primary, then the standby, each until it accepts connections, then backup and drill. A node that was the
 * primary before a failover stays stopped: it would refuse to serve. What is missing is `up`'s to make.
 * @throws OperatorError where the node that should be the primary is none, or one does not start
 */
export async function startNodes(stack: Stack, say: Say): Promise<void> {
  const { settings } = stack;
  const { primaryNode } = settings;
  const nodes = ownNodes(stack);
  const stopped = [primaryNode, peerOf(primaryNode)].filter((node) => isStopped(nodes[node]?.state ?? "running"));
  if (stopped.length > 0) await startServers(stack, nodes, stopped, say);
  for (const key of onServers.toReversed()) {
    const { state = "running" } = nodes[key] ?? {};
    if (!isStopped(state)) continue;
    const { container } = dockerNames(settings.namePrefix)[key];
    run(stack, [state === "paused" ? "unpause" : "start", container]);
    say(`${container} runs`);
  }
}

async function startServers(
  stack: Stack,
  nodes: Survey["nodes"],
  stopped: readonly NodeName[],
  say: Say,
): Promise<void> {
  const { settings } = stack;
  const { primaryNode } = settings;
  const data = dataOf(stack, nodes);
  const contradiction = primaryContradiction(settings, data);
  if (contradiction !== undefined) throw new OperatorError(contradiction);
  for (const node of stopped) {
    const { container } = dockerNames(settings.namePrefix)[node];
    if (node !== primaryNode && data[node].role === "primary") {
      const newer = dockerNames(settings.namePrefix)[primaryNode].container;
      say(`${container} was the primary before ${newer} became it: it stays stopped`);
      continue;
    }
    const begun = Date.now();
    run(stack, [nodes[node]?.state === "paused" ? "unpause" : "start", container]);
    await acceptsConnections(stack, container);
    say(`${container} accepts connections after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  }
}

/**
 * The containers of this stack.
 * @throws OperatorError where one of its names is another stack's, or another program's
 */
export function ownNodes({ name, settings, dockerHost }: Stack): Survey["nodes"] {
  const nodes = findNodes(settings, dockerHost) ?? {};
  for (const node of containerKeys) {
    const found = nodes[node];
    if (found === undefined || found.stack === name) continue;
    const maker = found.stack === undefined ? "another program" : `stack ${found.stack}`;
    throw new OperatorError(
      `${dockerNames(settings.namePrefix)[node].container} is of ${maker}, not of stack ${name}: look at centraldb:namePrefix, or at the stack's name if it was renamed`,
    );
  }
  return nodes;
}

/** Whether a container is there and does not run. */
export function isStopped(state: string): boolean {
  return ["exited", "created", "paused", "dead"].includes(state);
}

/**
 * Resolves when a node's server accepts connections.
 * @throws OperatorError where it ends, or half an hour is over
 */
export async function acceptsConnections({ dockerHost }: Stack, container: string): Promise<void> {
  const host = { host: dockerHost };
  const deadline = Date.now() + startTimeoutMs;
  while (docker(["exec", container, "pg_isready", "--quiet"], host).status !== 0) {
    const { stdout } = docker(["inspect", "--format", "{{.State.Status}} {{.RestartCount}}", container], host);
    if (!/^(running|created) 0$/.test(stdout.trim()) || Date.now() > deadline) {
      throw new OperatorError(`${container} does not start: docker logs --tail 20 ${container}`);
    }
    await sleep(100);
  }
}

/** What the nodes' data say of them. */
export function dataOf({ settings, dockerHost }: Stack, nodes: Survey["nodes"]): Survey["data"] {
  const names = dockerNames(settings.namePrefix);
  return findData(settings, nodes, findVolumes([names.primary.volume, names.replica.volume], dockerHost), dockerHost);
}

function rank(role: NodeRole): number {
  return role === "primary" ? 0 : 1;
}

function run({ dockerHost }: Stack, args: readonly string[]): void {
  const { status, stderr } = docker(args, { host: dockerHost });
  if (status !== 0) throw new OperatorError(`docker ${args.join(" ")}: ${stderr.trim()}`);
}

function seconds(work: () => void): string {
  const begun = Date.now();
  work();
  return ((Date.now() - begun) / 1000).toFixed(1);
}
