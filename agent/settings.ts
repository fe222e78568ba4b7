import { readFileSync } from "node:fs";
import type { Service } from "../services/service";
import { backupClasses, type BackupClass } from "./schedule";

/** What the stack wants of its backups; `pulumi up` writes it. */
export interface AgentSettings {
  /** IANA's name: `Asia/Seoul`. */
  readonly timeZone: string;
  readonly retentionDays: Readonly<Record<BackupClass, number>>;
  /** MiB per second a base backup takes at most; null: as fast as it goes. */
  readonly rateMiB: number | null;
  /** Minutes a dump may take, with its proof: of everything, and of each service where that fails. */
  readonly dumpMinutes: number;
  /** Where everything is copied: as rclone knows it here, and as the stack's file says it. null: nowhere. */
  readonly copy: { readonly to: string; readonly name: string } | null;
  readonly database: string;
  /** Host names of both servers on the private network. */
  readonly nodes: readonly string[];
  /** Replication slot of the WAL archive. */
  readonly slot: string;
  /** Schemas of the registry's services: each must be inside a backup. */
  readonly services: readonly string[];
  /** Every role of the plan: a dump of the globals must have it. */
  readonly roles: readonly string[];
  /** From which a restore makes the plan: who owns what, and who may do what. */
  readonly registry: { readonly services: readonly Service[]; readonly extensions: readonly string[] };
  /** Of the registry, whatever its file looks like, and of services/access.json at the last `up`, in hexadecimal. */
  readonly registrySha256: string;
  readonly accessSha256: string;
}

/** Folders inside the container. */
export interface Places {
  /** The backups' volume. */
  readonly store: string;
  /** The configuration's volume: passwords and certificates. */
  readonly configuration: string;
  /** Where the agent listens for its own commands. */
  readonly socket: string;
}

export const places: Places = {
  store: "/backups",
  configuration: "/etc/centraldb",
  socket: "/tmp/centraldb-agent.sock",
};

/** The stack's own state, which `npm run up` hands over: secrets are ciphertext in it. */
export const stateFolder = ({ store }: Pick<Places, "store">): string => `${store}/state`;

export const settingsFile = ({ store }: Pick<Places, "store">): string => `${store}/settings.json`;

/** The variable in which a container that has no volume of backups has them. */
export const settingsVariable = "SETTINGS";

/** @throws Error where there are none yet, or they are of another version of the program */
export function readSettings(places: Places): AgentSettings {
  const file = settingsFile(places);
  const read = JSON.parse(readFileSync(file, "utf8")) as Partial<AgentSettings>;
  const days = backupClasses.map((backupClass) => read.retentionDays?.[backupClass]);
  if (
    !Array.isArray(read.nodes) ||
    read.copy === undefined ||
    read.registry === undefined ||
    !days.every(Number.isFinite)
  ) {
    throw new Error(`${file} is of another version`);
  }
  return read as AgentSettings;
}
