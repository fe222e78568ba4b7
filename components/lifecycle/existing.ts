import { generationLabel } from "../cluster/labels";
import { noData } from "../cluster/primary-check";
import type { Survey } from "../cluster/survey";
import { containerKeys, dockerNames, isOnNetwork, nodeNames, type ContainerKey } from "../naming";
import type { Settings } from "../settings-rules";
import { containerType, networkType, volumeType, type OwnState } from "./state";

/** What the engine has and the state does not, or the other way round, and what `up` does about it. Pure. */
export interface Differences {
  /** Id of a network to take over. */
  readonly adoptNetwork: string | undefined;
  /** Containers that stand where new ones must go: stopped and removed, their data are in the volumes. */
  readonly inTheWay: readonly string[];
  /** See NodeArgs.generations: counts up where a container is missing, so that pulumi makes it anew. */
  readonly generations: Readonly<Record<ContainerKey, number>>;
  /** Names of the data volumes of a stack whose state is empty: all of it is to be taken over, passwords are made anew. */
  readonly adoptedVolumes: readonly string[];
  /** What of it the person who looks at a preview must know. */
  readonly notices: readonly string[];
}

export function compare(settings: Settings, state: OwnState, survey: Survey): Differences {
  const names = dockerNames(settings.namePrefix);
  const has = (type: string) => state.some((resource) => resource.type === type);
  const adoptedVolumes = has(volumeType) ? [] : survey.volumes.map(({ name }) => name);
  const containers = containerKeys.map((node) => {
    const { container } = names[node];
    const known = state.find(({ type, called }) => type === containerType && called === container);
    const found = survey.nodes[node];
    const generation = Number(known?.labels[generationLabel] ?? 0);
    const unknown = found !== undefined && known?.id !== found.id;
    const attached = !isOnNetwork(node) || (found?.network !== undefined && found.network === survey.network);
    const detached = known !== undefined && found !== undefined && !unknown && !attached;
    const missing = known !== undefined && (known.id !== found?.id || detached);
    return { node, container, missing, unknown, detached, generation };
  });
  const inTheWay = containers.filter(({ unknown }) => unknown).map(({ container }) => container);
  return {
    adoptNetwork: has(networkType) ? undefined : survey.network,
    inTheWay,
    generations: Object.fromEntries(
      containers.map(({ node, missing, generation }) => [node, missing ? generation + 1 : generation]),
    ) as Record<ContainerKey, number>,
    adoptedVolumes,
    notices: [
      ...(adoptedVolumes.length === 0
        ? []
        : [
            `this stack's state is empty: up takes over ${adoptedVolumes.join(" and ")} and gives every role a new password`,
          ]),
      ...inTheWay.map((container) => `${container} exists and this stack's state does not know it: up makes it anew`),
      ...containers
        .filter(({ missing, unknown }) => missing && !unknown)
        .map(({ container, detached }) =>
          detached
            ? `${container} is not on the network ${names.network}: up makes it anew`
            : `${container} is gone: up makes it again`,
        ),
    ],
  };
}

/** What the engine has as far as the state knows: for a preview where no engine answers. */
export function asInState(state: OwnState, settings: Settings): Survey {
  const names = dockerNames(settings.namePrefix);
  const network = state.find(({ type }) => type === networkType)?.id;
  const nodes = containerKeys.flatMap((node) => {
    const known = state.find(({ type, called }) => type === containerType && called === names[node].container);
    if (known === undefined) return [];
    return [[node, { ...known, state: "running", stack: undefined, network }] as const];
  });
  const volumes = nodeNames
    .map((node) => ({ name: names[node].volume, stack: undefined }))
    .filter(({ name }) => state.some(({ type, called }) => type === volumeType && called === name));
  const data = { primary: noData, replica: noData };
  return {
    nodes: Object.fromEntries(nodes),
    data,
    network,
    volumes,
    schemas: undefined,
    begunDrops: [],
    ownSettings: [],
    silence: undefined,
  };
}
