import { generationLabel, restartLabelPrefix } from "../../components/cluster/labels";
import { containerType, networkType, roleType, schemaType, volumeType } from "../../components/lifecycle/state";
import { groupBy } from "../group-by";
import { code } from "../markdown";
import { shown, type Inputs, type ResourceChange } from "./read-preview";
import { commandType, defaultPrivilegesType, grantType } from "./sentences";

export const passwordType = "random:index/randomPassword:RandomPassword";
export const imageType = "docker:index/remoteImage:RemoteImage";

interface Rule {
  readonly type: string;
  readonly on: readonly ResourceChange["operation"][];
  readonly applies?: (change: ResourceChange) => boolean;
  /** What it means, in seconds or in what is lost; Markdown. `names`: of all it is said of. */
  readonly meaning: (names: string, change: ResourceChange) => string;
}

const gone = ["replace", "delete"] as const;
const isBackup = (change: ResourceChange) => change.type === containerType && nameOf(change).endsWith("-backup");
const isDrill = (change: ResourceChange) => nameOf(change).endsWith("-drill");
const isBackups = (change: ResourceChange) => nameOf(change).endsWith("-backups");
const isData = (change: ResourceChange) => nameOf(change).endsWith("-data");

/** What restarts a server, replaces a node, or deletes what cannot be made again; the first that applies is told. */
const rules: readonly Rule[] = [
  {
    type: volumeType,
    on: gone,
    applies: isData,
    meaning: (names) =>
      `**data are deleted**: ${names}. Every row in it that neither the other node nor a backup has is lost.`,
  },
  {
    type: volumeType,
    on: gone,
    applies: isBackups,
    meaning: (names) => `**backups are deleted**: ${names}, every one, and the WAL between them. A second copy stays.`,
  },
  {
    type: volumeType,
    on: gone,
    applies: isDrill,
    meaning: (names) => `**what drills have found is deleted**: ${names}. The next one is made at once.`,
  },
  {
    type: schemaType,
    on: ["delete"],
    applies: isRetired,
    meaning: (names) =>
      `**schema ${names} is dropped with all there is in it**: its service is retired, and is in the backup that \`up\` names.`,
  },
  {
    type: roleType,
    on: ["delete"],
    applies: isRetired,
    meaning: (names) => `**role ${names} is dropped**: its service is retired.`,
  },
  {
    type: schemaType,
    on: gone,
    meaning: (names) =>
      `**schema ${names} is dropped**; while it holds a table PostgreSQL refuses, and \`up\` stops half way.`,
  },
  {
    type: roleType,
    on: gone,
    meaning: (names) =>
      `**role ${names} is dropped**: nobody gets in as it, its rights are gone, what it owns is \`postgres\`'s.`,
  },
  {
    type: containerType,
    on: ["replace"],
    applies: wasMissing,
    meaning: (names) => `**${names} is made again** on its data: it was gone, and nobody gets in there until then.`,
  },
  {
    type: containerType,
    on: ["replace"],
    meaning: (names, change) =>
      `**restart of ${names}**, the primary first${listed(reasonsOf(change))}. Each is stopped cleanly and made anew on its data: ` +
      "its sessions end, and nobody gets in there for seconds (2 to 4 measured; longer where the shutdown has much to write).",
  },
  {
    type: containerType,
    on: ["delete"],
    applies: isBackup,
    meaning: (names) => `**${names} is removed**: nobody makes backups any more. Those there are stay in the volume.`,
  },
  {
    type: containerType,
    on: ["delete"],
    applies: isDrill,
    meaning: (names) => `**${names} is removed**: nobody restores the backups any more, and knows that they can be.`,
  },
  {
    type: containerType,
    on: ["delete"],
    meaning: (names) =>
      `**${names} is removed**: stopped cleanly, its data stay in the volume; nobody gets in there any more.`,
  },
  {
    type: volumeType,
    on: gone,
    meaning: (names) => `**${names} is removed** with the configuration in it: both servers need it to start.`,
  },
  {
    type: networkType,
    on: gone,
    meaning: (names) => `**network ${names} is removed**: replication stops, and both servers are made anew.`,
  },
  {
    type: roleType,
    on: ["update"],
    applies: ({ before, after }) => before["login"] === true && after["login"] === false,
    meaning: (names) => `**nobody logs in any more as** ${names}; sessions end, on both servers.`,
  },
  {
    type: passwordType,
    on: gone,
    meaning: (names) =>
      `**another password** for ${names}: sessions go on, who logs in needs the new one from the outputs.`,
  },
  {
    type: "tls:index/selfSignedCert:SelfSignedCert",
    on: gone,
    applies: ({ name }) => name.endsWith("-authority"),
    meaning: () =>
      "**another authority**: from then on clients that verify the servers need the new output `caCertificate`.",
  },
  {
    type: "random:index/randomUuid:RandomUuid",
    on: gone,
    meaning: () => "**another mark of this state**, for which both servers are made anew.",
  },
  {
    type: "pulumi:providers:postgresql",
    on: gone,
    meaning: () => "**another provider of roles and grants**: what it manages may be made anew.",
  },
];

/** What may be made anew, or go, without anybody's loss: rights are told by their sentences, jobs run again. */
const harmless = new Set([
  grantType,
  defaultPrivilegesType,
  commandType,
  imageType,
  "tls:index/privateKey:PrivateKey",
  "tls:index/certRequest:CertRequest",
  "tls:index/locallySignedCert:LocallySignedCert",
  "tls:index/selfSignedCert:SelfSignedCert",
]);

/** What of a preview must be read before anybody says yes; the gravest first, each a line of Markdown. */
export function dangersOf(changes: readonly ResourceChange[]): readonly string[] {
  // A new container of the agent makes again what the old one was making.
  const isAgent = (change: ResourceChange) => change.type === containerType && (isBackup(change) || isDrill(change));
  const risky = changes.filter((change) => !(isAgent(change) && change.operation === "replace"));
  const left = risky.filter((change) => change.operation === "update" || !change.retained || isRetired(change));
  const kept = risky.filter((change) => !left.includes(change) && isGone(change) && !isKnown(change));
  const told = new Set<ResourceChange>();
  const lines = rules.flatMap((rule) => {
    const mine = left.filter((change) => !told.has(change) && matches(rule, change));
    for (const change of mine) told.add(change);
    // Said once of all that it is said of.
    const alike = groupBy(mine, (change) => rule.meaning("", change));
    return alike.flatMap((some) => (some[0] ? [rule.meaning(some.map(called).join(", "), some[0])] : []));
  });
  // What nobody has thought of may hold anything.
  const others = left.filter((change) => isGone(change) && !told.has(change) && !isKnown(change));
  return [
    ...lines,
    ...others.map(({ name, type, operation }) => `**${operation} of ${code(name)}** (${code(type)}).`),
    ...kept.map((change) => `${called(change)} is no longer this stack's, and stays where it is.`),
  ];
}

/** Pulumi lets go of them, and `up` drops them: of a service that is not retired nothing goes. */
function isRetired({ type, operation, retained }: ResourceChange): boolean {
  return (type === schemaType || type === roleType) && operation === "delete" && retained;
}

const isGone = ({ operation }: ResourceChange) => operation === "replace" || operation === "delete";
/** A component is nothing by itself. */
const isKnown = ({ type }: ResourceChange) => harmless.has(type) || !isThing({ type });

/** A component holds resources, and is none. */
export function isThing({ type }: { readonly type: string }): boolean {
  return !type.startsWith("centraldb:") && type !== "pulumi:pulumi:Stack";
}

function matches({ type, on, applies }: Rule, change: ResourceChange): boolean {
  return type === change.type && on.includes(change.operation) && (applies?.(change) ?? true);
}

/** Why it is made anew; of a container as its labels say it: `shared_buffers = 4GB → 8GB`. */
export function reasonsOf(change: ResourceChange): readonly string[] {
  if (wasMissing(change)) return ["it was gone"];
  const { type, before, after, because } = change;
  if (type === imageType) {
    const [was, is] = [before, after].map(({ name }) => shown(name));
    return was === undefined || is === undefined || was === is ? because : [`${was} → ${is}`];
  }
  const [old, now] = [before, after].map(labelsOf);
  const names = [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].sort();
  const changed = names.filter((name) => name.startsWith(restartLabelPrefix) && old?.get(name) !== now?.get(name));
  const value = (labels: ReadonlyMap<string, string> | undefined, name: string) =>
    labels?.get(name)?.replace(/^\S+ = /, "") ?? "default";
  if (changed.length === 0) return because;
  return changed.map((name) => `${name.slice(restartLabelPrefix.length)} = ${value(old, name)} → ${value(now, name)}`);
}

/** The program counts how often it found a container missing. */
function wasMissing({ type, before, after }: ResourceChange): boolean {
  return type === containerType && labelsOf(before).get(generationLabel) !== labelsOf(after).get(generationLabel);
}

function labelsOf(inputs: Inputs): ReadonlyMap<string, string> {
  const labels = Array.isArray(inputs["labels"]) ? (inputs["labels"] as readonly unknown[]) : [];
  return new Map(
    labels.flatMap((one) => {
      const { label, value } = (one ?? {}) as Inputs;
      const [name, text] = [shown(label), shown(value)];
      return name === undefined || text === undefined ? [] : [[name, text] as const];
    }),
  );
}

const listed = (reasons: readonly string[]) => (reasons.length === 0 ? "" : ` (${reasons.map(code).join(", ")})`);

/** What it is called where it is; else its name in the program. */
export function nameOf({ type, before, after, name }: ResourceChange): string {
  if (type === passwordType) return name.replace(/-password$/, "");
  return shown(after["name"]) ?? shown(before["name"]) ?? name;
}

function called(change: ResourceChange): string {
  return code(nameOf(change));
}
