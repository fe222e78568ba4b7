import { tierRole, type ResolvedService, type Tier } from "../../services/service";
import type { ObjectType, Privilege } from "./privileges";

/**
 * Who brings an item into the database, in this order:
 * `logins`, platform SQL on the socket, which needs no password (the roles that belong to no service and log in);
 * `foundation`, platform SQL that needs no service (roles, schemas and rights every service stands on);
 * `provider`, a resource of the postgresql provider; `tiers`, platform SQL about the roles the provider made.
 */
export type Carrier = "logins" | "foundation" | "provider" | "tiers";

/** What a grant is on. `tables`, `sequences` and `routines` are all of a schema that exist at that moment. */
export type Target =
  | { readonly type: "database"; readonly database: string }
  | { readonly type: "schema"; readonly schema: string }
  | { readonly type: ObjectType; readonly schema: string }
  /** `signature` with argument types, e.g. `pg_notify(text, text)`; in pg_catalog. */
  | { readonly type: "function"; readonly signature: string }
  /** In pg_catalog. */
  | { readonly type: "view"; readonly view: string }
  | { readonly type: "language"; readonly language: string };

/** The name that stands for everybody in a grant. */
export const everybody = "PUBLIC";

export interface PlannedRole {
  readonly name: string;
  /** Name of the service and tier it belongs to; null for the platform's own roles. */
  readonly of: { readonly service: string; readonly tier: Tier } | null;
  readonly login: boolean;
  /** `REPLICATION`: may stream WAL and make slots. */
  readonly replication: boolean;
  /** `BYPASSRLS`: no owner's policy hides rows from a dump. */
  readonly bypassRowSecurity: boolean;
  /** PostgreSQL's predefined roles it is a member of. */
  readonly memberOf: readonly string[];
  /** `CONNECTION LIMIT`; -1 for none. */
  readonly connectionLimit: number;
  readonly searchPath: readonly string[] | null;
  /** Milliseconds; null for none. */
  readonly statementTimeoutMs: number | null;
  /** Milliseconds; null for none. */
  readonly idleInTransactionSessionTimeoutMs: number | null;
  readonly carrier: Carrier;
}

/** `ALTER ROLE … SET`, where the provider's role has no attribute for it. */
export interface PlannedRoleSetting {
  readonly role: string;
  readonly setting: string;
  /** As PostgreSQL keeps it: `1GB`, `10s`, `on`. */
  readonly value: string;
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

/** What `owner` grants on objects it will create, or takes from PostgreSQL's built-in default. */
export interface PlannedDefaultPrivileges {
  readonly action: "GRANT" | "REVOKE";
  readonly owner: string;
  /** null: in every schema. Only this form can take the built-in EXECUTE from PUBLIC. */
  readonly schema: string | null;
  readonly objectType: ObjectType;
  readonly privileges: readonly Privilege[];
  readonly to: string;
  readonly carrier: Carrier;
}

/** Everything a registry means, as data. Whatever else speaks of access (resources, SQL, sentences) maps this. */
export interface Plan {
  readonly database: string;
  /** Without the retired ones: of those there is nothing else in the plan. */
  readonly services: readonly ResolvedService[];
  /** Whose roles and schemas are to be dropped, or were. */
  readonly retired: readonly ResolvedService[];
  readonly roles: readonly PlannedRole[];
  readonly roleSettings: readonly PlannedRoleSetting[];
  readonly schemas: readonly PlannedSchema[];
  readonly extensions: readonly PlannedExtension[];
  readonly revokes: readonly PlannedRevoke[];
  readonly grants: readonly PlannedGrant[];
  readonly defaultPrivileges: readonly PlannedDefaultPrivileges[];
}

/**
 * Owns the services' schemas. Nobody logs in with it, and no role is its member. There are no groups: a role could give
 * its tables to a group it belongs to (REASSIGN OWNED, which no event trigger sees), and with them to all members.
 */
export const platformRole = "platform";
/** PostgreSQL's bootstrap superuser. Nothing of the plan is granted to it. */
export const superuserRole = "postgres";
/** The page's role for dumps and monitoring: reads everything, writes nothing. Not a tier. */
export const dumpRole = "app";

/** What the name of a service's login begins with that restores its schema; see agent/restore/owner-login.ts. */
export function restoreLoginBegin(code: string): string {
  return `${tierRole(code, "owner")}_restore_`;
}

/** Of all of them, as a regular expression. */
export const restoreLoginPattern = "own_restore_[0-9a-f]{8}$";
/** The page's role for replication. */
export const replicationRole = "repl";
/** Holds the guard's functions and what only the platform looks at. */
export const platformSchema = "platform";
/** Holds the extensions; last on every search_path, CREATE for nobody. */
export const extensionsSchema = "extensions";

/** The part of a plan one carrier brings into the database. */
export function carriedBy(plan: Plan, carrier: Carrier): Plan {
  const mine = (item: { readonly carrier: Carrier }) => item.carrier === carrier;
  return {
    ...plan,
    roles: plan.roles.filter(mine),
    roleSettings: plan.roleSettings.filter(mine),
    schemas: plan.schemas.filter(mine),
    extensions: plan.extensions.filter(mine),
    revokes: plan.revokes.filter(mine),
    grants: plan.grants.filter(mine),
    defaultPrivileges: plan.defaultPrivileges.filter(mine),
  };
}

/** The roles that have a password: a frozen service's keep theirs. */
export function rolesWithPassword(plan: Plan): readonly string[] {
  return plan.roles.filter(({ of, login }) => of !== null || login).map(({ name }) => name);
}

/** The roles of services that may not log in at present. */
export function frozenRoles(plan: Plan): readonly string[] {
  return plan.roles.filter(({ of, login }) => of !== null && !login).map(({ name }) => name);
}
