import {
  resolveService,
  tierRole,
  tiers,
  withoutRetired,
  type ResolvedService,
  type Service,
  type Tier,
} from "../../services/service";
import {
  dumpRole,
  everybody,
  extensionsSchema,
  platformRole,
  platformSchema,
  replicationRole,
  type Plan,
  type PlannedDefaultPrivileges,
  type PlannedGrant,
  type PlannedRole,
  type PlannedRoleSetting,
} from "./plan-items";
import { dumpGrants, publicRevokes, tierGrants } from "./plan-public";
import { objectTypes, readerPrivileges, tierPrivileges } from "./privileges";

export interface PlanOptions {
  readonly database: string;
  /** Names of extensions to install in schema `extensions`. */
  readonly extensions: readonly string[];
}

/** A session that holds a transaction open holds back VACUUM for every service. */
const idleInTransactionSessionTimeoutMs = 60_000;

/** A migration that waits longer for its lock stops the service's own traffic behind it. */
const lockTimeoutSeconds = 10;

/** A role with no right beyond logging in, where it may. */
const plainRole = {
  replication: false,
  bypassRowSecurity: false,
  memberOf: [],
  connectionLimit: -1,
  searchPath: null,
  statementTimeoutMs: null,
  idleInTransactionSessionTimeoutMs: null,
} as const satisfies Partial<PlannedRole>;

const platformRoles: readonly PlannedRole[] = [
  { ...plainRole, name: platformRole, of: null, login: false, carrier: "foundation" },
  {
    ...plainRole,
    name: dumpRole,
    of: null,
    login: true,
    bypassRowSecurity: true,
    // The last: whoever looks after the server gets in when the services have taken every other connection.
    memberOf: ["pg_monitor", "pg_read_all_data", "pg_use_reserved_connections"],
    carrier: "logins",
  },
  { ...plainRole, name: replicationRole, of: null, login: true, replication: true, carrier: "logins" },
];

/** Computes the plan of a valid registry (see validateRegistry). Pure; deterministic; in registry order. */
export function planAccess(services: readonly Service[], options: PlanOptions): Plan {
  const all = services.map(resolveService);
  const resolved = withoutRetired(all);
  const reads = planReads(resolved);
  return {
    database: options.database,
    services: resolved,
    retired: all.filter(({ lifecycle }) => lifecycle === "retired"),
    roles: [...platformRoles, ...resolved.flatMap(serviceRoles)],
    roleSettings: resolved.flatMap(serviceRoleSettings),
    schemas: [
      { name: platformSchema, owner: "postgres", carrier: "foundation" },
      { name: extensionsSchema, owner: "postgres", carrier: "foundation" },
      ...resolved.map(({ code }) => ({ name: code, owner: platformRole, carrier: "provider" as const })),
    ],
    extensions: [
      // Out of the services' sight: it shows who runs what.
      { name: "pg_stat_statements", schema: platformSchema, carrier: "foundation" },
      ...options.extensions
        .filter((name) => name !== "pg_stat_statements")
        .map((name) => ({ name, schema: extensionsSchema, carrier: "foundation" as const })),
    ],
    revokes: publicRevokes(),
    grants: [
      ...resolved.flatMap(serviceGrants),
      ...reads.grants,
      ...dumpGrants(options.database),
      ...resolved.flatMap((service) => tierGrants(service, options.database)),
    ],
    defaultPrivileges: [...resolved.flatMap(serviceDefaultPrivileges), ...reads.defaultPrivileges],
  };
}

function serviceRoles(service: ResolvedService): PlannedRole[] {
  return tiers.map((tier) => ({
    ...plainRole,
    name: tierRole(service.code, tier),
    of: { service: service.name, tier },
    login: service.lifecycle === "active",
    connectionLimit: service.connectionLimits[tier],
    // Exactly these: a foreign schema on the path would let its owner run code as the reader.
    searchPath: [service.code, extensionsSchema],
    statementTimeoutMs: tier === "owner" ? null : service.statementTimeoutSeconds * 1000,
    idleInTransactionSessionTimeoutMs,
    carrier: "provider",
  }));
}

/** What the provider's role has no attribute for. A role can SET all but the first away; see docs/threat-model.md. */
function serviceRoleSettings({ code, tempFileLimitMiB }: ResolvedService): PlannedRoleSetting[] {
  return tiers.flatMap((tier) =>
    [
      ["temp_file_limit", `${tempFileLimitMiB}MB`],
      // Whoever waits for a strong lock stops everybody who comes after it.
      ["lock_timeout", `${lockTimeoutSeconds}s`],
      ...(tier === "user" ? [["default_transaction_read_only", "on"]] : []),
    ].map(([setting = "", value = ""]) => ({ role: tierRole(code, tier), setting, value, carrier: "tiers" as const })),
  );
}

function serviceGrants({ code }: ResolvedService): PlannedGrant[] {
  return tiers.flatMap((tier) => schemaGrants(code, tierRole(code, tier), tierPrivileges[tier]));
}

function serviceDefaultPrivileges({ code }: ResolvedService): PlannedDefaultPrivileges[] {
  const owner = tierRole(code, "owner");
  const noExecuteForEverybody: PlannedDefaultPrivileges = {
    action: "REVOKE",
    owner,
    schema: null,
    objectType: "routine",
    privileges: ["EXECUTE"],
    to: everybody,
    carrier: "provider",
  };
  return [
    noExecuteForEverybody,
    ...tiers.flatMap((tier) => schemaDefaultPrivileges(code, tierRole(code, tier), tierPrivileges[tier])),
  ];
}

function planReads(services: readonly ResolvedService[]): Pick<Plan, "grants" | "defaultPrivileges"> {
  const readers = services.flatMap((reader) =>
    services
      .filter((target) => reader.reads.includes(target.name))
      .flatMap((target) =>
        (["app", "user"] as const).map((tier) => ({ code: target.code, role: tierRole(reader.code, tier) })),
      ),
  );
  return {
    grants: readers.flatMap(({ code, role }) => schemaGrants(code, role, readerPrivileges)),
    defaultPrivileges: readers.flatMap(({ code, role }) => schemaDefaultPrivileges(code, role, readerPrivileges)),
  };
}

type SchemaPrivileges = (typeof tierPrivileges)[Tier];

function schemaGrants(schema: string, to: string, privileges: SchemaPrivileges): PlannedGrant[] {
  return [
    { privileges: privileges.schema, on: { type: "schema", schema }, to, carrier: "provider" },
    ...objectTypes
      .filter((type) => privileges[type].length > 0)
      .map((type) => ({
        privileges: privileges[type],
        on: { type, schema },
        to,
        carrier: "provider" as const,
      })),
  ];
}

function schemaDefaultPrivileges(schema: string, to: string, privileges: SchemaPrivileges): PlannedDefaultPrivileges[] {
  return objectTypes
    .filter((objectType) => privileges[objectType].length > 0)
    .map((objectType) => ({
      action: "GRANT" as const,
      owner: tierRole(schema, "owner"),
      schema,
      objectType,
      privileges: privileges[objectType],
      to,
      carrier: "provider" as const,
    }));
}
