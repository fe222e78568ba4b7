import { tierRole, tiers, type ResolvedService } from "../../services/service";
import type { Plan } from "../access/plan-items";
import { identityName, stateLabel } from "../cluster/labels";
import { primaryContradiction } from "../cluster/primary-check";
import type { Survey } from "../cluster/survey";
import { containerKeys, dockerNames, nodeNames, type Names } from "../naming";
import type { Settings } from "../settings-rules";
import { containerType, networkType, roleType, schemaType, volumeType, type OwnResource, type OwnState } from "./state";

/** A resource that holds data or access: its name in the program, and what it is called where it is. */
export interface Kept {
  readonly type: string;
  readonly name: string;
  readonly called: string;
}

/** Everything the program will declare that must never be replaced or removed. */
export function declaredKept(plan: Plan, names: Names): readonly Kept[] {
  return [
    { type: volumeType, name: "cluster-config", called: names.configVolume },
    { type: volumeType, name: "backup-volume", called: names.backup.volume },
    { type: volumeType, name: "backup-drill-volume", called: names.drill.volume },
    ...nodeNames.map((node) => ({ type: volumeType, name: `cluster-${node}-data`, called: names[node].volume })),
    ...plan.services.flatMap(keptOf),
  ];
}

/** What holds data or access of one service. */
export function keptOf({ name, code }: Pick<ResolvedService, "name" | "code">): readonly Kept[] {
  return [
    { type: schemaType, name: `${name}-schema`, called: code },
    ...tiers.map((tier) => ({ type: roleType, name: `${name}-${tier}`, called: tierRole(code, tier) })),
  ];
}

export function isSame(kept: Kept, { type, name, called }: OwnResource): boolean {
  return kept.type === type && kept.name === name && kept.called === called;
}

/**
 * Why `up` may not begin, a sentence each with its cure: pulumi would delete or replace what holds data or access, grants
 * would go to the wrong server, or a container would collide. `state` knows what the stack has also while no server answers.
 */
export function refusals(
  stack: string,
  plan: Plan,
  settings: Settings,
  state: OwnState,
  survey: Survey,
): readonly string[] {
  const names = dockerNames(settings.namePrefix);
  const others = foreign(stack, names, state, survey);
  if (others.length > 0) return others; // what they say of themselves is no news
  const contradiction = primaryContradiction(settings, survey.data);
  return [
    ...renamedVolumes(state, names),
    ...lostData(stack, state, names, survey),
    ...lostNetwork(stack, state, names, survey),
    ...takenOver(stack, state, names, survey),
    ...lostServices(plan, names, state),
    ...unknownSchemas(plan, state, survey),
    ...halves(stack, plan, survey),
    ...(contradiction === undefined ? [] : [contradiction]),
  ];
}

function renamedVolumes(state: OwnState, names: Names): string[] {
  const had = state.find(({ type, name }) => type === volumeType && name === "cluster-primary-data")?.called;
  if (had === undefined || had === names.primary.volume) return [];
  const prefix = had.replace(/-primary-data$/, "");
  return [
    `centraldb:namePrefix: it is "${names.network}", and this stack's data are in the volumes of "${prefix}": ` +
      `put "${prefix}" back; another prefix is for another stack, a file Pulumi.NAME.yaml`,
  ];
}

/** Without either volume there is nothing to copy from, and the seed job has made its one data directory. */
function lostData(stack: string, state: OwnState, names: Names, { volumes }: Survey): string[] {
  const data = [names.primary.volume, names.replica.volume];
  if (volumes.length > 0 || !data.every((volume) => state.some(isVolume(volume)))) return [];
  return [
    `${data.join(" and ")} are gone, and with them the data: bring a volume back, or ` +
      `npm run ops -- wipe --stack ${stack} and begin anew`,
  ];
}

/** Pulumi does not see that a network is gone; `npm run up` has it look before it begins. */
function lostNetwork(stack: string, state: OwnState, names: Names, { network }: Survey): string[] {
  const known = state.find(({ type }) => type === networkType);
  return known === undefined || known.id === network || known.called !== names.network
    ? []
    : [`the network ${known.called} is gone, or another has its name: npm run up -- ${stack} makes it again`];
}

/** A container of this stack that another state of it has made: that one knows the passwords, this one does not any more. */
function takenOver(stack: string, state: OwnState, names: Names, { nodes }: Survey): string[] {
  const identity = state.find(({ name }) => name === identityName)?.id;
  const taken = containerKeys.filter((node) => {
    const found = nodes[node];
    const isKnown = state.some(({ type, id }) => type === containerType && id === found?.id);
    return found !== undefined && identity !== undefined && !isKnown && found.labels[stateLabel] !== identity;
  });
  return taken
    .slice(0, 1)
    .map(
      (node) =>
        `${names[node].container} was made by another state of stack ${stack}, which took the data over: use that state, ` +
        `or move this one away and npm run up -- ${stack} --adopt`,
    );
}

/** Services whose schema or roles the state has and the registry no longer names, or names otherwise. */
function lostServices(plan: Plan, names: Names, state: OwnState): string[] {
  const declared = declaredKept(plan, names);
  const retiring = plan.retired.flatMap(({ name, code }) => keptOf({ name, code }));
  const isRetiring = (resource: OwnResource) => retiring.some((kept) => isSame(kept, resource));
  const differs = state
    .filter(({ type }) => type === schemaType || type === roleType)
    .filter((resource) => !isRetiring(resource))
    .filter((resource) => !declared.some((kept) => isSame(kept, resource)));
  // One sentence for a service: `archivist-schema` and `archivist-owner` are both archivist's.
  const serviceOf = ({ name }: OwnResource) => name.replace(/-[a-z]+$/, "");
  return [...new Set(differs.map(serviceOf))].map((service) => {
    const resources = differs.filter((resource) => serviceOf(resource) === service);
    const schema = resources.find(({ type }) => type === schemaType)?.called;
    const code = schema ?? resources[0]?.called.replace(/(own|app|user)$/, "") ?? "";
    const lines = [...plan.services, ...plan.retired];
    const sameName = lines.find(({ name }) => name === service);
    const sameCode = lines.find((other) => other.code === code);
    if (sameName !== undefined) {
      return (
        `services.${service}.code: it is "${sameName.code}", and the stack has its ${schema === undefined ? "roles" : "data"} ` +
        `as "${code}": a code cannot be renamed; put "${code}" back, and append "${sameName.code}" as another service`
      );
    }
    if (sameCode !== undefined) {
      return (
        `services.${sameCode.name}: the stack has code "${code}" as service ${service}, by whose name its resources go: ` +
        `put the name "${service}" back`
      );
    }
    return (
      `services: ${service} (code "${code}") is in the stack and no longer in services/registry.ts: put its line back; ` +
      `with lifecycle: "frozen" nobody logs in any more and the data stay; npm run ops -- retire ${service} is what comes then`
    );
  });
}

/** What the server has and neither registry nor state know: the rest of a stack whose state was lost. */
function unknownSchemas(plan: Plan, state: OwnState, { schemas = [] }: Survey): string[] {
  const known = [
    ...plan.schemas.map(({ name }) => name),
    ...plan.retired.map(({ code }) => code),
    ...state.filter(({ type }) => type === schemaType).map(({ called }) => called),
  ];
  return schemas
    .filter((schema) => !known.includes(schema))
    .map(
      (schema) =>
        `services: the server has the schema "${schema}" and services/registry.ts no service of that code: put its line back`,
    );
}

/** A service of which `up` has dropped a part rests, or goes whole, and comes back from its backup. */
function halves(stack: string, { services }: Plan, { begunDrops }: Survey): string[] {
  return begunDrops.flatMap((line) => {
    const [code = "", backup = ""] = line.split(" ");
    return services
      .filter((service) => service.code === code && service.lifecycle !== "frozen")
      .map(
        ({ name, lifecycle }) =>
          `services.${name}.lifecycle: it is "${lifecycle}", and up has begun to drop it: "retired" again with ` +
          `retiredBackups.${stack} ${backup}, npm run up -- ${stack}, and npm run ops -- unretire ${name} brings it back`,
      );
  });
}

/** What has a name of this stack, and the state does not know, must have been made by this stack. */
function foreign(stack: string, names: Names, state: OwnState, { nodes, volumes }: Survey): string[] {
  const cure = "give this stack another prefix and other ports";
  const containers = containerKeys.flatMap((node) => {
    const { id, stack: maker } = nodes[node] ?? {};
    return id === undefined || maker === stack || state.some((known) => known.type === containerType && known.id === id)
      ? []
      : [{ what: `the container ${names[node].container}`, maker }];
  });
  const unknownVolumes = volumes
    .filter(({ name, stack: maker }) => maker !== undefined && maker !== stack && !state.some(isVolume(name)))
    .map(({ name, stack: maker }) => ({ what: `the volume ${name}`, maker }));
  return [...containers, ...unknownVolumes].map(({ what, maker }) =>
    maker === undefined
      ? `centraldb:namePrefix: ${what} exists, and this program did not make it: rename or remove it, or ${cure}`
      : `centraldb:namePrefix: ${what} is of stack "${maker}": ${cure} (or the name back: pulumi stack rename ${maker})`,
  );
}

const isVolume =
  (volume: string) =>
  ({ type, called }: OwnResource) =>
    type === volumeType && called === volume;
