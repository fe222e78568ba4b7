/** The three accounts of a service. Source: the operations page, "3-Tier 권한 시스템". */
export type Tier = "owner" | "app" | "user";

/** The tiers in the order they are created and printed. */
export const tiers = ["owner", "app", "user"] as const satisfies readonly Tier[];

const tierSuffixes: Readonly<Record<Tier, string>> = { owner: "own", app: "app", user: "user" };

/** The role of a tier: `tierRole("gt", "owner")` is `gtown`. Source: the operations page, "네이밍 규칙". */
export function tierRole(code: string, tier: Tier): string {
  return code + tierSuffixes[tier];
}

/** One microservice of the community: what it is called and what it needs from the central database. */
export interface Service {
  /** What people call it: lower-case letters, digits and dashes, e.g. `gatherer`. */
  readonly name: string;

  /**
   * 2 to 8 lower-case letters, e.g. `gt`. It is the schema (`gt`), the prefix of every relation (`gt_`) and the stem of
   * the three roles (`gtown`, `gtapp`, `gtuser`). It cannot change later: a renamed code is another service.
   */
  readonly code: string;

  /** One sentence for people: what the service does with its data. */
  readonly purpose: string;

  /** Example tables with their prefix. Documentation and test material: the platform never creates them. */
  readonly tables: readonly string[];

  /**
   * Concurrent connections of each role (`CONNECTION LIMIT`).
   * @default owner 2, app 5, user 2: twenty such services fit into 200 connections
   */
  readonly connectionLimits?: Readonly<Partial<Record<Tier, number>>>;

  /**
   * Seconds after which a statement of the app or user role is cancelled (`statement_timeout`). The owner has none:
   * migrations may take long.
   * @default 30
   */
  readonly statementTimeoutSeconds?: number;

  /**
   * MiB of temporary files that each session of any of its roles may have at a time (`temp_file_limit`): what sorts, hashes and
   * WITH HOLD cursors put on the disk all services share. Only a superuser can raise it. An index on a large table needs
   * about the index's size.
   * @default 1024
   */
  readonly tempFileLimitMiB?: number;

  /**
   * Names of services whose whole schema, present and future, the app and user roles may SELECT from, never more.
   * It is trust in both directions: a view of the other service runs with the reader's rights. The two roles may not call
   * set_config, current_query, pg_input_is_valid, pg_cancel_backend and pg_terminate_backend then, nor look into
   * pg_stat_activity: such a view could.
   * @default none
   */
  readonly reads?: readonly string[];

  /**
   * `frozen`: its roles cannot log in (`NOLOGIN`) and their sessions are ended; schema, data and grants stay, and who reads
   * them goes on. It keeps its place in the connection budget, for the day it is `active` again.
   * `retired`: `up` drops its roles and its schema, which must have been frozen, where `retiredBackups` says in which backup
   * they are. Name and code stay reserved while the line is there; when every stack has dropped it, the line may go.
   * @default active
   */
  readonly lifecycle?: Lifecycle;

  /**
   * Of a retired service: by stack the id of the backup it can be brought back from, `{ prod: "20261126T170000Z-logical" }`.
   * `npm run ops -- retire` makes and proves it. A stack that never had the service needs none.
   * @default none
   */
  readonly retiredBackups?: Readonly<Record<string, string>>;

  /**
   * Another number than last time is another password for its roles, or for one of them: `{ app: 2 }`. Sessions go on;
   * `npm run ops -- end-sessions` ends them.
   * @default 1
   */
  readonly rotation?: number | Readonly<Partial<Record<Tier, number>>>;
}

/** Whether a service's roles may log in, and whether they and its schema are there at all. */
export type Lifecycle = "active" | "frozen" | "retired";

export const lifecycles = ["active", "frozen", "retired"] as const satisfies readonly Lifecycle[];

/** What a service gets where its literal is silent. */
export const serviceDefaults = {
  connectionLimits: { owner: 2, app: 5, user: 2 },
  statementTimeoutSeconds: 30,
  tempFileLimitMiB: 1024,
  reads: [],
  lifecycle: "active",
  retiredBackups: {},
  rotation: 1,
} as const satisfies Partial<Service>;

/** The service with every optional field filled in. */
export interface ResolvedService extends Required<Service> {
  readonly connectionLimits: Readonly<Record<Tier, number>>;
  readonly rotation: Readonly<Record<Tier, number>>;
}

/** Fills in {@link serviceDefaults}, also where a field is there and undefined. */
export function resolveService(service: Service): ResolvedService {
  const given = Object.fromEntries(Object.entries(service).filter(([, value]) => value !== undefined)) as Service;
  return {
    ...serviceDefaults,
    ...given,
    connectionLimits: { ...serviceDefaults.connectionLimits, ...service.connectionLimits },
    rotation: rotationOf(service.rotation ?? serviceDefaults.rotation),
  };
}

/** The services that have roles and a schema: all that are not retired. */
export function withoutRetired<S extends Pick<Service, "lifecycle">>(services: readonly S[]): readonly S[] {
  return services.filter(({ lifecycle }) => lifecycle !== "retired");
}

function rotationOf(rotation: NonNullable<Service["rotation"]>): ResolvedService["rotation"] {
  const all = typeof rotation === "number" ? rotation : serviceDefaults.rotation;
  return { owner: all, app: all, user: all, ...(typeof rotation === "number" ? {} : rotation) };
}
