import { resolveService, tierRole, tiers, type ResolvedService, type Service, type Tier } from "../../services/service";
import {
  everybody,
  extensionsSchema,
  ownersGroup,
  platformRole,
  platformSchema,
  tiersGroup,
  type Plan,
  type PlannedDefaultPrivileges,
  type PlannedGrant,
  type PlannedRevoke,
  type PlannedRole,
} from "./plan-items";
import { objectTypes, readerPrivileges, revokedFunctions, revokedLanguages, tierPrivileges } from "./privileges";

export interface PlanOptions {
  readonly database: string;
  /** Names of extensions to install in schema `extensions`. */
  readonly extensions: readonly string[];
}

/** A session that holds a transaction open holds back VACUUM for every service. */
const idleInTransactionSessionTimeoutMs = 60_000;

/** Computes the plan of a valid registry (see validateRegistry). Pure; deterministic; in registry order. */
export function planAccess(services: readonly Service[], options: PlanOptions): Plan {
  const resolved = services.map(resolveService);
  const reads = planReads(resolved);
  return {
    database: options.database,
    services: resolved,
    roles: [...platformRoles(), ...resolved.flatMap(serviceRoles)],
    schemas: [
      { name: platformSchema, owner: "postgres", carrier: "platform" },
      { name: extensionsSchema, owner: "postgres", carrier: "platform" },
      ...resolved.map(({ code }) => ({ name: code, owner: platformRole, carrier: "provider" as const })),
    ],
    extensions: options.extensions.map((name) => ({ name, schema: extensionsSchema, carrier: "platform" })),
    revokes: publicRevokes(),
    grants: [...platformGrants(options.database), ...resolved.flatMap(serviceGrants), ...reads.grants],
    defaultPrivileges: [...resolved.flatMap(serviceDefaultPrivileges), ...reads.defaultPrivileges],
  };
}

function platformRoles(): PlannedRole[] {
  const group = { of: null, login: false, connectionLimit: -1, searchPath: null, carrier: "platform" } as const;
  const noTimeouts = { statementTimeoutMs: null, idleInTransactionSessionTimeoutMs: null };
  return [
    { name: platformRole, memberOf: [], ...group, ...noTimeouts },
    { name: tiersGroup, memberOf: [], ...group, ...noTimeouts },
    { name: ownersGroup, memberOf: [tiersGroup], ...group, ...noTimeouts },
  ];
}

function serviceRoles(service: ResolvedService): PlannedRole[] {
  return tiers.map((tier) => ({
    name: tierRole(service.code, tier),
    of: { service: service.name, tier },
    login: true,
    connectionLimit: service.connectionLimits[tier],
    memberOf: [tier === "owner" ? ownersGroup : tiersGroup],
    // Exactly these: a foreign schema on the path would let its owner run code as the reader.
    searchPath: [service.code, extensionsSchema],
    statementTimeoutMs: tier === "owner" ? null : service.statementTimeoutSeconds * 1000,
    idleInTransactionSessionTimeoutMs,
    carrier: "provider",
  }));
}

function publicRevokes(): PlannedRevoke[] {
  return [
    { privileges: ["CONNECT", "TEMPORARY"], on: { type: "every database" }, carrier: "platform" },
    { privileges: ["USAGE", "CREATE"], on: { type: "schema", schema: "public" }, carrier: "platform" },
    ...revokedFunctions.flatMap(({ functions }) =>
      functions.map((signature) => ({
        privileges: ["EXECUTE" as const],
        on: { type: "function" as const, signature },
        carrier: "platform" as const,
      })),
    ),
    ...revokedLanguages.map((language) => ({
      privileges: ["USAGE" as const],
      on: { type: "language" as const, language },
      carrier: "platform" as const,
    })),
  ];
}

function platformGrants(database: string): PlannedGrant[] {
  const carrier = "platform";
  return [
    { privileges: ["CONNECT"], on: { type: "database", database }, to: tiersGroup, carrier },
    { privileges: ["USAGE"], on: { type: "schema", schema: extensionsSchema }, to: tiersGroup, carrier },
    ...revokedFunctions
      .filter(({ ownersKeep }) => ownersKeep)
      .flatMap(({ functions }) =>
        functions.map((signature) => ({
          privileges: ["EXECUTE" as const],
          on: { type: "function" as const, signature },
          to: ownersGroup,
          carrier: "platform" as const,
        })),
      ),
    ...revokedLanguages.map((language) => ({
      privileges: ["USAGE" as const],
      on: { type: "language" as const, language },
      to: ownersGroup,
      carrier: "platform" as const,
    })),
  ];
}

function serviceGrants({ code }: ResolvedService): PlannedGrant[] {
  return tiers.flatMap((tier) => schemaGrants(code, tierRole(code, tier), tierPrivileges[tier]));
}

function serviceDefaultPrivileges({ code }: ResolvedService): PlannedDefaultPrivileges[] {
  const owner = tierRole(code, "owner");
  const noExecuteForEverybody: PlannedDefaultPrivileges = {
    owner,
    schema: null,
    objectType: "routine",
    privileges: [],
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
      owner: tierRole(schema, "owner"),
      schema,
      objectType,
      privileges: privileges[objectType],
      to,
      carrier: "provider" as const,
    }));
}
