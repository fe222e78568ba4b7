/** The two servers. These are names, not roles: after a failover the node `replica` is the primary. */
export type NodeName = "primary" | "replica";

export const nodeNames = ["primary", "replica"] as const satisfies readonly NodeName[];

/** What has a container of its own. */
export type ContainerKey = NodeName | "backup" | "drill";

export const containerKeys = [...nodeNames, "backup", "drill"] as const satisfies readonly ContainerKey[];

/** Whether a container is on the private network. The drill's reaches nothing: code of all services runs in it. */
export function isOnNetwork(key: ContainerKey): boolean {
  return key !== "drill";
}

/** The node `name` replicates from, or to. */
export function peerOf(name: NodeName): NodeName {
  return name === "primary" ? "replica" : "primary";
}

/** What belongs to one container. */
export interface ContainerNames {
  /** Container, and host name on the private network. */
  readonly container: string;
  readonly volume: string;
}

/** What belongs to one that receives WAL. */
export interface ReceiverNames extends ContainerNames {
  /** Replication slot on the primary: letters, digits and underscores only. */
  readonly slot: string;
}

/** Docker and PostgreSQL names of a stack, all starting with its prefix. Pure. */
export interface Names extends Readonly<Record<NodeName | "backup", ReceiverNames>> {
  readonly drill: ContainerNames;
  readonly network: string;
  /** Volume with the configuration files both nodes read. */
  readonly configVolume: string;
}

/** Longest prefix: with the longest ending it stays within 63 bytes, PostgreSQL's limit for a slot, DNS's for a host. */
export const maxPrefixLength = 31;

/** `pg16` gives network `pg16`, containers `pg16-primary` and `pg16-replica`, volumes `pg16-primary-data`, … */
export function dockerNames(prefix: string): Names {
  const node = (name: NodeName): ReceiverNames => ({
    container: `${prefix}-${name}`,
    volume: `${prefix}-${name}-data`,
    slot: `${prefix}-${name}`.replaceAll("-", "_"),
  });
  return {
    network: prefix,
    configVolume: `${prefix}-config`,
    backup: {
      container: `${prefix}-backup`,
      volume: `${prefix}-backups`,
      slot: `${prefix}-backup`.replaceAll("-", "_"),
    },
    drill: { container: `${prefix}-drill`, volume: `${prefix}-drill` },
    primary: node("primary"),
    replica: node("replica"),
  };
}
