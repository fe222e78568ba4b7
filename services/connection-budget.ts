import { resolveService, tiers, withoutRetired, type Service } from "./service";

/** `max_connections` of a stack that does not say otherwise. Source: the operations page, "동시 연결: 최대 200개". */
export const defaultMaxConnections = 200;

/** Connections nobody but the named party may count on. */
export interface ReservedConnections {
  readonly who: string;
  readonly connections: number;
}

/**
 * What is kept free of services: one row each, with the reason. WAL senders are not here: PostgreSQL counts streaming
 * replication against `max_wal_senders`, not against `max_connections`.
 */
export const reservedConnections = [
  /** `superuser_reserved_connections`, PostgreSQL's own default: the way in when all else is full. */
  { who: "superuser_reserved_connections", connections: 3 },
  /** `pulumi up` opens five (index.ts), and a person of the team has psql open beside it. */
  { who: "operators and pulumi up", connections: 7 },
  /** Role `repl`: slot management and a rebuild use ordinary connections beside the WAL senders. */
  { who: "replication", connections: 2 },
  /** Role `app`: pg_dump, pg_dumpall and the checks around them. */
  { who: "backup", connections: 4 },
  /** The metrics exporters of two nodes. */
  { who: "monitoring", connections: 4 },
] as const satisfies readonly ReservedConnections[];

/** Who takes how many of `max_connections`. */
export interface ConnectionBudget {
  readonly maxConnections: number;
  readonly reserved: number;
  /** Sum of the connection limits of the three roles, by service, in registry order. */
  readonly services: readonly { readonly name: string; readonly connections: number }[];
  /** Connections left over; negative when the budget is exceeded. */
  readonly free: number;
}

/** Adds up the budget; a retired service takes none. Pure arithmetic: {@link validateRegistry} decides what is an error. */
export function connectionBudget(services: readonly Service[], maxConnections: number): ConnectionBudget {
  const reserved = reservedConnections.reduce((sum, row) => sum + row.connections, 0);
  const perService = withoutRetired(services).map((service) => {
    const { name, connectionLimits } = resolveService(service);
    return { name, connections: tiers.reduce((sum, tier) => sum + connectionLimits[tier], 0) };
  });
  const taken = perService.reduce((sum, row) => sum + row.connections, 0);
  return { maxConnections, reserved, services: perService, free: maxConnections - reserved - taken };
}
