import { isIP, isIPv4 } from "node:net";
import { backupRules, whyNotCopied, type BackupSettings } from "./backup/settings-rules";
import { asGivenCertificates, whyNotServed, type GivenCertificates } from "./cluster/configuration/given-certificates";
import { minMemoryMiB } from "./cluster/configuration/memory";
import { serverNames } from "./cluster/configuration/server-names";
import { dumpRole, replicationRole, superuserRole } from "./access/plan-items";
import { maxPrefixLength, nodeNames, type NodeName } from "./naming";
import {
  asConfText,
  isDnsName,
  isImage,
  isRecord,
  majorOf,
  parseJson,
  whyExtensionsAreNone,
  whySettingsAreNone,
} from "./setting-values";
import { wholeNumber, type Rules } from "./setting-rule";
import { didYouMean } from "../services/did-you-mean";
import { printable } from "../services/printable";

/** Everything a stack can choose, read once. Keys, descriptions and defaults are in Pulumi.yaml. */
export interface Settings extends BackupSettings {
  readonly protect: boolean;
  readonly namePrefix: string;
  readonly image: string;
  readonly bindAddress: string;
  /** Port of the node `primary`, whatever its role is. */
  readonly primaryPort: number;
  /** Port of the node `replica`. */
  readonly replicaPort: number;
  /** The node that is the primary. The data decide; this must say the same. */
  readonly primaryNode: NodeName;
  /** Memory of one node. */
  readonly memoryMiB: number;
  /** Cores of one node that PostgreSQL plans with; not a limit. */
  readonly cpus: number;
  readonly maxConnections: number;
  /** postgresql.conf settings of this stack, by name; they win over the platform's. */
  readonly postgresqlSettings: Readonly<Record<string, string>>;
  readonly extensions: readonly string[];
  /** By role: another number is another password. */
  readonly passwordRotation: Readonly<Record<string, number>>;
  /** Whether a login from outside a container must be encrypted. */
  readonly tls: "required" | "offered";
  /** Further DNS names and IP addresses by which clients know the servers. */
  readonly certificateNames: readonly string[];
  /** null: the program makes an authority and certificates of its own. */
  readonly certificates: GivenCertificates | null;
}

/** The database all services share. */
export const database = "appdb";

/** The program knows this version's settings and catalogs. */
export const majorVersion = 16;

/** Networks of Docker's own, of which no other can have the name; a stack's network is called like its prefix. */
const dockersNetworks: readonly string[] = ["bridge", "default", "host", "none"];

/** Roles of no service whose passwords a stack's file can renew. */
const rotatingRoles: readonly string[] = [superuserRole, dumpRole, replicationRole];

/** One setting that cannot be used: `centraldb:primaryPort: expected …, got …`. */
export interface SettingProblem {
  readonly path: string;
  readonly message: string;
}

const rules: Rules<Settings> = {
  protect: {
    expected: "true or false",
    parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
  },
  namePrefix: {
    expected: (text) =>
      dockersNetworks.includes(text)
        ? `a name that is not one of Docker's own networks (${dockersNetworks.join(", ")})`
        : `1 to ${maxPrefixLength} lower-case letters, digits and dashes, a letter first`,
    parse: (text) =>
      /^[a-z][a-z0-9-]*$/.test(text) && text.length <= maxPrefixLength && !dockersNetworks.includes(text)
        ? text
        : undefined,
  },
  image: {
    expected: (text) =>
      isImage(text) && majorOf(text) !== undefined
        ? `an image of PostgreSQL ${majorVersion}; another major version does not read these data, see README, ` +
          "Another major version"
        : "an image reference such as postgres:16.14-bookworm",
    // Where a tag does not tell, the configuration job asks the image itself before anything is changed.
    parse: (text) => (isImage(text) && [undefined, majorVersion].includes(majorOf(text)) ? text : undefined),
  },
  bindAddress: {
    expected: "an IPv4 address such as 127.0.0.1",
    parse: (text) => (isIPv4(text) ? text : undefined),
  },
  primaryPort: wholeNumber(1, 65535),
  replicaPort: wholeNumber(1, 65535),
  primaryNode: {
    expected: `one of the nodes ${nodeNames.join(", ")}`,
    parse: (text) => nodeNames.find((name) => name === text),
  },
  memoryMiB: wholeNumber(minMemoryMiB, 4_194_304),
  cpus: wholeNumber(1, 512),
  maxConnections: wholeNumber(25, 10_000),
  postgresqlSettings: {
    expected: (text) =>
      `an object of PostgreSQL settings, each with a text, number or boolean on one line${whySettingsAreNone(text)}`,
    parse: (text) => {
      const settings = parseJson(text);
      if (!isRecord(settings) || whySettingsAreNone(text) !== "") return undefined;
      return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, asConfText(value)]));
    },
  },
  extensions: {
    expected: (text) => `a list of extension names${whyExtensionsAreNone(text)}`,
    parse: (text) => {
      const names = parseJson(text);
      const isName = (name: unknown): name is string =>
        typeof name === "string" && /^[a-z][a-z0-9_-]{0,62}$/.test(name);
      return Array.isArray(names) && names.every(isName) && whyExtensionsAreNone(text) === "" ? names : undefined;
    },
  },
  passwordRotation: {
    expected: `an object of whole numbers by role, of ${rotatingRoles.join(", ")}, such as {${superuserRole}: 2}`,
    parse: (text) => {
      const rotation = parseJson(text);
      const isTurn = ([role, turn]: [string, unknown]) =>
        rotatingRoles.includes(role) && Number.isInteger(turn) && Number(turn) >= 1 && Number(turn) <= 1e9;
      return isRecord(rotation) && Object.entries(rotation).every(isTurn)
        ? (rotation as Readonly<Record<string, number>>)
        : undefined;
    },
  },
  tls: {
    expected: "required or offered",
    parse: (text) => (text === "required" || text === "offered" ? text : undefined),
  },
  certificateNames: {
    expected: "a list of DNS names and IP addresses, such as [db.example.org, 192.0.2.7]",
    parse: (text) => {
      const names = parseJson(text);
      const isName = (name: unknown): name is string =>
        typeof name === "string" && (isIP(name) !== 0 || isDnsName(name));
      return Array.isArray(names) && names.every(isName) ? names : undefined;
    },
  },
  certificates: {
    secret: true,
    expected:
      "nothing, or authority, primary.certificate, primary.key, replica.certificate and replica.key, each in PEM",
    parse: (text) => {
      const value = parseJson(text);
      return value === null || (isRecord(value) && Object.keys(value).length === 0) ? null : asGivenCertificates(value);
    },
  },
  ...backupRules,
};

/**
 * Reads every setting from `get`, which returns a value's text (lists as JSON) or undefined where there is none.
 * `given` are the keys somebody has set, for the typing errors among them. Returns the settings, or every problem at once.
 */
export function parseSettings(
  get: (key: keyof Settings) => string | undefined,
  given: readonly string[],
): Settings | readonly SettingProblem[] {
  const parsed: Record<string, unknown> = {};
  const known = Object.keys(rules);
  const problems: SettingProblem[] = given
    .filter((key) => !known.includes(key))
    .map((key) => ({
      path: printable(`centraldb:${key.slice(0, 80)}`),
      message: `unknown setting; known are ${known.join(", ")}${didYouMean(key, known)}`,
    }));
  for (const [key, rule] of Object.entries(rules)) {
    const text = get(key as keyof Settings);
    parsed[key] = text === undefined ? undefined : rule.parse(text);
    if (parsed[key] === undefined) {
      const shown = printable(JSON.stringify(text?.slice(0, 80) ?? ""));
      const got = text === undefined ? "nothing" : rule.secret ? "something else, not shown" : shown;
      const expected = typeof rule.expected === "string" ? rule.expected : rule.expected(text ?? "");
      problems.push({
        path: `centraldb:${key}`,
        message: `expected ${expected}, got ${got}; see its description in Pulumi.yaml`,
      });
    }
  }
  if (parsed["primaryPort"] !== undefined && parsed["primaryPort"] === parsed["replicaPort"]) {
    problems.push({
      path: "centraldb:replicaPort",
      message: `expected another port than centraldb:primaryPort, got ${String(parsed["replicaPort"])} for both`,
    });
  }
  if (problems.length > 0) return problems;
  const settings = parsed as unknown as Settings;
  const own = settings.certificates;
  const why = own === null ? "" : whyNotServed(own, (node) => serverNames(settings, node), new Date());
  if (why !== "") return [{ path: "centraldb:certificates", message: why }];
  const notCopied = whyNotCopied(settings);
  return notCopied === ""
    ? settings
    : [{ path: "centraldb:backupCopyConfig", message: `${notCopied}; see its description in Pulumi.yaml` }];
}
