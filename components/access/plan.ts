import { resolveService, tierRole, tiers, type ResolvedService, type Service, type Tier } from "../../services/service";
import {
  objectTypes,
  readerPrivileges,
  revokedFunctions,
  revokedLanguages,
  tierPrivileges,
  type ObjectType,
  type Privilege,
} from "./privileges";

/** Who brings an item into the database: a resource of the postgresql provider, or the platform SQL as superuser. */
export type Carrier = "provider" | "platform";

/** What a grant is on. `tables`, `sequences` and `routines` are all of a schema that exist at that moment. */
export type Target =
  | { readonly type: "database"; readonly database: string }
  | { readonly type: "schema"; readonly schema: string }
  | { readonly type: ObjectType; readonly schema: string }
  /** `signature` with argument types, e.g. `pg_notify(text, text)`; in pg_catalog. */
  | { readonly type: "function"; readonly signature: string }
  | { readonly type: "language"; readonly language: string };

/** The name that stands for everybody in a grant. */
export const everybody = "PUBLIC";

export interface PlannedRole {
  readonly name: string;
  /** Name of the service and tier it belongs to; null for the platform's own roles. */
  readonly of: { readonly service: string; readonly tier: Tier } | null;
  readonly login: boolean;
  /** `CONNECTION LIMIT`; -1 for none. */
  readonly connectionLimit: number;
  /** Roles it is a member of. */
  readonly memberOf: readonly string[];
  readonly searchPath: readonly string[] | null;
  /** Milliseconds; null for none. */
  readonly statementTimeoutMs: number | null;
  /** Milliseconds; null for none. */
  readonly idleInTransactionSessionTimeoutMs: number | null;
  readonly carrier: Carrier;
}

export interface PlannedSchema {
  readonly name: string;
  readonly owner: string;
  readonly carrier: Carrier;
}

export interface PlannedExtension {
  readonly name: string;
  readonly schema: string;
  readonly carrier: Carrier;
}

export interface PlannedGrant {
  readonly privileges: readonly Privilege[];
  readonly on: Target;
  /** A role, or {@link everybody}. */
  readonly to: string;
  readonly carrier: Carrier;
}

/** A right everybody has by PostgreSQL's default and loses. */
export interface PlannedRevoke {
  readonly privileges: readonly Privilege[];
  readonly on: Target | { readonly type: "every database" };
  readonly carrier: Carrier;
}

/** What `owner` grants on objects it will create. */
export interface PlannedDefaultPrivileges {
  readonly owner: string;
  /** null: in every schema. Only this form can take the built-in EXECUTE from PUBLIC. */
  readonly schema: string | null;
  readonly objectType: ObjectType;
  /** Empty: PostgreSQL's built-in default is taken away. */
  readonly privileges: readonly Privilege[];
  readonly to: string;
  readonly carrier: Carrier;
}

/** Everything a registry means, as data. Whatever else speaks of access (resources, SQL, sentences) maps this. */
export interface Plan {
  readonly database: string;
  readonly services: readonly ResolvedService[];
  readonly roles: readonly PlannedRole[];
  readonly schemas: readonly PlannedSchema[];
  readonly extensions: readonly PlannedExtension[];
  readonly revokes: readonly PlannedRevoke[];
  readonly grants: readonly PlannedGrant[];
  readonly defaultPrivileges: readonly PlannedDefaultPrivileges[];
}

export interface PlanOptions {
  readonly database: string;
  /** Names of extensions to install in schema `extensions`. */
  readonly extensions: readonly string[];
}

/** Owns the services' schemas. Nobody logs in with it, and no role is its member. */
export const platformRole = "platform";
/** Every tier role is a member: CONNECT, USAGE on the extensions, and how the guard knows a tier role. */
export const tiersGroup = "platform_tiers";
/** Every owner is a member: what migrations need and PUBLIC lost. */
export const ownersGroup = "platform_owners";
/** Holds the guard's functions. */
export const platformSchema = "platform";
/** Holds the extensions; last on every search_path, CREATE for nobody. */
export const extensionsSchema = "extensions";

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

/** The part of a plan one carrier brings into the database. */
export function carriedBy(plan: Plan, carrier: Carrier): Plan {
  const mine = (item: { readonly carrier: Carrier }) => item.carrier === carrier;
  return {
    ...plan,
    roles: plan.roles.filter(mine),
    schemas: plan.schemas.filter(mine),
    extensions: plan.extensions.filter(mine),
    revokes: plan.revokes.filter(mine),
    grants: plan.grants.filter(mine),
    defaultPrivileges: plan.defaultPrivileges.filter(mine),
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
