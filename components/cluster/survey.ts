import { agentFile } from "../backup/agent-file";
import { containerKeys, dockerNames, nodeNames, type ContainerKey, type NodeName } from "../naming";
import { database, type Settings } from "../settings-rules";
import { platformRole } from "../access/plan-items";
import { begunDropsQuery, begunDropsTableQuery } from "../access/retired-sql";
import { ownSettingsQuery } from "../access/sql";
import type { FoundSettings, LongPassword } from "../lifecycle/own-settings";
import { answerOf } from "./answers";
import { answerTimeoutMs, docker } from "./docker-cli";
import { stackLabel } from "./labels";
import { nodeScript } from "./node-script";
import { noData, nodeData, type NodeData } from "./primary-check";

/** A container as the engine has it. */
export interface FoundNode {
  readonly id: string;
  /** Docker's word: `running`, `exited`, … */
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The stack that made it; undefined for a container of another program, which has this name by accident. */
  readonly stack: string | undefined;
  /** Id of the private network it is on; undefined where it is on none. */
  readonly network: string | undefined;
}

/** A data volume as the engine has it. */
export interface FoundVolume {
  readonly name: string;
  /** The stack that made it; undefined where nobody says so. */
  readonly stack: string | undefined;
}

/** What the engine has under a stack's names, whatever pulumi knows of it. */
export interface Survey {
  readonly nodes: Readonly<Partial<Record<ContainerKey, FoundNode>>>;
  readonly data: Readonly<Record<NodeName, NodeData>>;
  /** Id of the private network. */
  readonly network: string | undefined;
  /** Of both nodes. */
  readonly volumes: readonly FoundVolume[];
  /** Schemas of services on the running primary; undefined where none answers. */
  readonly schemas: readonly string[] | undefined;
  /** Code and backup of services of which `up` has dropped a part, a line each; empty where none answers. */
  readonly begunDrops: readonly string[];
  /** Of all roles on the running primary; empty where none answers. */
  readonly ownSettings: readonly (FoundSettings | LongPassword)[];
  /** Why a primary that runs has given no answer, so that what is empty says nothing; undefined where it has. */
  readonly silence: string | undefined;
}

/** Asks the engine; undefined where none answers. Needs no login; what does not run is not asked. */
export function surveyEngine(settings: Settings, dockerHost: string | undefined): Survey | undefined {
  const names = dockerNames(settings.namePrefix);
  const run = (...args: string[]) => docker(args, { host: dockerHost });
  const nodes = findNodes(settings, dockerHost);
  if (nodes === undefined) return undefined;
  const volumes = findVolumes([names.primary.volume, names.replica.volume], dockerHost);
  const data = findData(settings, nodes, volumes, dockerHost);
  const primary = nodeNames.find((node) => data[node].role === "primary" && data[node].running);
  let silence: string | undefined;
  const ask = (query: string) => {
    if (primary === undefined || silence !== undefined) return undefined;
    const { container } = names[primary];
    const answer = answerOf({ container, database, query, host: dockerHost, timeoutMs: answerTimeoutMs });
    if ("lines" in answer) return answer.lines;
    silence = answer.why;
    return undefined;
  };
  const network = run("network", "inspect", "--format", "{{.Name}} {{.Id}}", names.network).stdout.trim().split(" ");
  return {
    nodes,
    data,
    // docker finds a network by the beginning of its id too
    network: network[0] === names.network ? network[1] : undefined,
    volumes,
    schemas: ask(`SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) = '${platformRole}'`),
    begunDrops: ask(begunDropsTableQuery)?.length ? (ask(begunDropsQuery()) ?? []) : [],
    ownSettings: (ask(ownSettingsQuery()) ?? []).map((line) => JSON.parse(line) as FoundSettings | LongPassword),
    silence,
  };
}

/** Which of these volumes exist. */
export function findVolumes(names: readonly string[], dockerHost: string | undefined): readonly FoundVolume[] {
  const format = '{"name": {{json .Name}}, "labels": {{json .Labels}}}';
  const { stdout } = docker(["volume", "inspect", "--format", format, ...names], { host: dockerHost });
  return lines(stdout).map((line) => {
    const { name, labels } = JSON.parse(line) as { name: string; labels: FoundNode["labels"] | null };
    return { name, stack: labels?.[stackLabel] };
  });
}

interface Inspected extends Pick<FoundNode, "id" | "state" | "labels"> {
  readonly name: string;
  /** What follows the program of its command: entrypoint and command together. */
  readonly args: readonly string[] | null;
  readonly networks: Readonly<Record<string, { readonly NetworkID: string } | undefined>> | null;
}

/** The stack's containers; undefined where no engine answers. */
export function findNodes(settings: Settings, dockerHost: string | undefined): Survey["nodes"] | undefined {
  const names = dockerNames(settings.namePrefix);
  const format =
    '{"name": {{json .Name}}, "id": {{json .Id}}, "state": {{json .State.Status}}, ' +
    '"labels": {{json .Config.Labels}}, "args": {{json .Args}}, ' +
    '"networks": {{json .NetworkSettings.Networks}}}';
  const containers = containerKeys.map((key) => names[key].container);
  const { stdout, stderr } = docker(["inspect", "--type", "container", "--format", format, ...containers], {
    host: dockerHost,
  });
  const missing = lines(stderr).filter((line) => /No such container/i.test(line)).length;
  const inspected = lines(stdout).map((line) => JSON.parse(line) as Inspected);
  if (missing + inspected.length < containers.length) return undefined;
  return Object.fromEntries(
    containerKeys.flatMap((key) => {
      const { container } = names[key];
      const found = inspected.find(({ name }) => name === `/${container}`);
      if (found === undefined) return [];
      const { id, state, labels, args, networks } = found;
      const isOurs = args?.some((word) => word === nodeScript || word === agentFile) === true;
      const stack = isOurs ? labels[stackLabel] : undefined;
      return [[key, { id, state, labels, stack, network: networks?.[names.network]?.NetworkID }] as const];
    }),
  );
}

function lines(text: string): readonly string[] {
  return text.split("\n").filter(Boolean);
}

/** From pg_control of both nodes: needs no login and no server that answers; what does not run is looked at in its volume. */
export function findData(
  settings: Settings,
  nodes: Survey["nodes"],
  volumes: readonly FoundVolume[],
  host: string | undefined,
): Survey["data"] {
  const names = dockerNames(settings.namePrefix);
  const ofNode = (node: NodeName): NodeData => {
    const { container, volume } = names[node];
    const running = nodes[node]?.state === "running";
    if (running) return nodeData(docker(["exec", container, "pg_controldata"], { host }).stdout, true);
    if (!volumes.some(({ name }) => name === volume)) return noData;
    const { stdout } = docker(
      [
        ...["run", "--rm", "--pull", "never", "--network", "none", "--user", "root", "--entrypoint", "pg_controldata"],
        ...["--volume", `${volume}:/data:ro`, settings.image, "/data/pgdata"],
      ],
      { host },
    );
    return nodeData(stdout, false);
  };
  return { primary: ofNode("primary"), replica: ofNode("replica") };
}
