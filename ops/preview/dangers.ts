import { containerType, networkType, roleType, schemaType, volumeType } from "../../components/lifecycle/state";
import { restartLabelPrefix } from "../../components/cluster/labels";
import { code } from "../markdown";
import { commandType, defaultPrivilegesType, grantType } from "./sentences";
import { shown, type Inputs, type ResourceChange } from "./read-preview";

export const passwordType = "random:index/randomPassword:RandomPassword";
export const imageType = "docker:index/remoteImage:RemoteImage";
const identityType = "random:index/randomUuid:RandomUuid";
const authorityType = "tls:index/selfSignedCert:SelfSignedCert";
const providerType = "pulumi:providers:postgresql";

interface Rule {
  readonly type: string;
  readonly of: readonly ResourceChange["operation"][];
  applies?(change: ResourceChange): boolean;
  /** What it means, as Markdown: in seconds, or in what is lost. */
  meaning(change: ResourceChange): string;
}

/** What restarts a server, replaces a node, or deletes what cannot be made again. */
const rules: readonly Rule[] = [
  {
    type: containerType,
    of: ["replace"],
    meaning: (change) =>
      `**${called(change)} restarts**${listed(restartReasons(change))}: it is stopped cleanly and made anew on its data. ` +
      "Its sessions end, and nobody gets in until it is back: seconds, and after a crash as long as its recovery.",
  },
  {
    type: containerType,
    of: ["delete"],
    meaning: (change) =>
      `**${called(change)} is removed**: it is stopped cleanly, and nobody gets in until another \`up\` makes it again. Its data stay in its volume.`,
  },
  {
    type: volumeType,
    of: ["replace", "delete"],
    meaning: (change) =>
      nameOf(change).endsWith("-data")
        ? `**${called(change)} is removed with all data in it**: every row of every service that is not on the other node or in a backup is lost.`
        : `**${called(change)} is removed** with the configuration in it: both servers need it to start, and \`up\` writes it anew.`,
  },
  {
    type: schemaType,
    of: ["replace", "delete"],
    meaning: (change) =>
      `**schema ${called(change)} is dropped**: PostgreSQL refuses that half way through the \`up\` while it holds a table.`,
  },
  {
    type: roleType,
    of: ["replace", "delete"],
    meaning: (change) =>
      `**role ${called(change)} is dropped**: nobody gets in as it, its rights are gone, and what it owns is \`postgres\`'s.`,
  },
  {
    type: roleType,
    of: ["update"],
    applies: ({ before, after }) => before["login"] === true && after["login"] === false,
    meaning: (change) => `**nobody logs in as ${called(change)} any more**: its sessions end on both servers.`,
  },
  {
    type: passwordType,
    of: ["replace", "delete"],
    meaning: (change) =>
      `**the password of ${code(change.name.replace(/-password$/, ""))} is another**: sessions go on, who logs in needs the new one from the outputs.`,
  },
  {
    type: networkType,
    of: ["replace", "delete"],
    meaning: (change) =>
      `**network ${called(change)} is removed**: the nodes do not reach each other, and both are made anew.`,
  },
  {
    type: authorityType,
    of: ["replace", "delete"],
    meaning: (change) =>
      change.name.endsWith("-authority")
        ? "**the authority is another**: every client that verifies the servers needs the new output `caCertificate`, from then on and not before."
        : "the certificate by which `up` itself logs in is another: nobody notices.",
  },
  {
    type: identityType,
    of: ["replace", "delete"],
    meaning: () => "**the mark of this state is another**: both containers are made anew for it.",
  },
  {
    type: providerType,
    of: ["replace", "delete"],
    meaning: () => "**the provider of roles and grants is another**: whatever it manages may be made anew.",
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
]);

/** What of a preview must be read before anybody says yes; each a line of Markdown. */
export function dangersOf(changes: readonly ResourceChange[]): readonly string[] {
  return [...new Set(changes.flatMap(dangerOf))];
}

function dangerOf(change: ResourceChange): readonly string[] {
  const { type, operation, retained, name } = change;
  const isGone = operation === "replace" || operation === "delete";
  if (isGone && retained) return [`${called(change)} (${code(name)}) is no longer this stack's: it stays where it is.`];
  const rule = rules.find((one) => one.type === type && one.of.includes(operation) && (one.applies?.(change) ?? true));
  if (rule !== undefined) return [rule.meaning(change)];
  // A component is nothing by itself. What nobody has thought of may hold anything.
  const isKnown = harmless.has(type) || type.startsWith("centraldb:") || type === "pulumi:pulumi:Stack";
  if (!isGone || isKnown) return [];
  return [`**${code(name)} (${code(type)}) is ${operation === "replace" ? "made anew" : "removed"}**.`];
}

/** What brings another container, as the node's labels say it: `shared_buffers = 4GB → 8GB`. */
export function restartReasons({ before, after, because }: ResourceChange): readonly string[] {
  const [old, now] = [before, after].map(restartLabels);
  const names = [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].sort();
  const changed = names.filter((name) => old?.get(name) !== now?.get(name));
  if (changed.length > 0) {
    return changed.map((name) => `${name} = ${old?.get(name) ?? "default"} → ${now?.get(name) ?? "default"}`);
  }
  return because;
}

function restartLabels(inputs: Inputs): ReadonlyMap<string, string> {
  const labels = Array.isArray(inputs["labels"]) ? (inputs["labels"] as readonly unknown[]) : [];
  return new Map(
    labels.flatMap((one) => {
      const { label, value } = (one ?? {}) as Inputs;
      const [name, text] = [shown(label), shown(value)];
      if (name?.startsWith(restartLabelPrefix) !== true || text === undefined) return [];
      return [[name.slice(restartLabelPrefix.length), text.replace(/^\S+ = /, "")] as const];
    }),
  );
}

const listed = (reasons: readonly string[]) => (reasons.length === 0 ? "" : ` (${reasons.map(code).join(", ")})`);

/** What it is called where it is; else its name in the program. */
export function nameOf({ before, after, name }: ResourceChange): string {
  return shown(after["name"]) ?? shown(before["name"]) ?? name;
}

function called(change: ResourceChange): string {
  return code(nameOf(change));
}
