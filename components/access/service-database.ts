import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import type { ResolvedService, Tier } from "../../services/service";
import type { Passwords } from "./passwords";
import type { Plan, PlannedRole } from "./plan-items";
import { declareSchemaItems } from "./schema-grants";
import { schemaItems } from "./schema-items";
import { scramVerifier } from "./scram";

export interface ServiceDatabaseArgs {
  readonly plan: Plan;
  readonly service: ResolvedService;
  readonly passwords: Passwords;
  /** Roles that exist already and are taken over instead of created; see adoptRoles. */
  readonly adopted: ReadonlySet<string>;
  /** Schema and roles are protected and outlive a destroy. */
  readonly protect: boolean;
  /** With it the data are gone: what it holds need not be dropped piece by piece. */
  readonly volume: pulumi.Resource;
}

/** A role a service logs in with. */
export interface Login {
  readonly tier: Tier;
  readonly role: string;
  readonly password: pulumi.Output<string>;
  readonly resource: postgresql.Role;
}

/** One service: three roles, its schema, and the rights of its tiers in it. */
export class ServiceDatabase extends pulumi.ComponentResource {
  readonly service: ResolvedService;
  /** In tier order. */
  readonly logins: readonly Login[];
  /** Every grant on the schema so far; whatever is granted on it later depends on the last of them. */
  readonly chain: readonly pulumi.Resource[];

  constructor(name: string, args: ServiceDatabaseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:ServiceDatabase", name, {}, opts);
    const { plan, service, passwords, adopted, protect, volume } = args;
    // A component's own dependsOn orders creation, but is not recorded for its children.
    const dependsOn = opts?.dependsOn ?? [];
    // Pulumi deletes nothing that is protected. A frozen service's may be retired next: then `up` drops them, and pulumi only
    // forgets them and their rights. Until then removing the line is refused before anything is planned (components/lifecycle).
    const mayRetire = service.lifecycle === "frozen";
    const inDatabase = {
      ...{ parent: this, deletedWith: volume, dependsOn },
      ...{ protect: protect && !mayRetire, retainOnDelete: protect || mayRetire },
    };
    this.service = service;

    this.logins = plan.roles.flatMap((role) =>
      role.of?.service === service.name
        ? [
            declareLogin(name, role, role.of.tier, passwords.of(role.name), {
              ...inDatabase,
              ...(adopted.has(role.name) ? { import: role.name } : {}),
            }),
          ]
        : [],
    );
    const schemas = plan.schemas
      .filter((schema) => schema.name === service.code)
      .map(
        (schema) =>
          new postgresql.Schema(
            `${name}-schema`,
            { name: schema.name, owner: schema.owner, database: plan.database },
            inDatabase,
          ),
      );
    this.chain = declareSchemaItems(
      name,
      plan.database,
      schemaItems(plan, service.code).own,
      [...this.logins.map(({ resource }) => resource), ...schemas],
      { parent: this, deletedWith: volume, ...(mayRetire ? { retainOnDelete: true } : {}) },
    );
    // Read by the next `up` (components/lifecycle/retired.ts).
    this.registerOutputs({ logins: this.logins.map(({ role }) => role), lifecycle: service.lifecycle });
  }
}

function declareLogin(
  name: string,
  planned: PlannedRole,
  tier: Tier,
  password: pulumi.Output<string>,
  opts: pulumi.CustomResourceOptions,
): Login {
  const resource = new postgresql.Role(
    `${name}-${tier}`,
    {
      name: planned.name,
      login: planned.login,
      // A verifier: the password itself would stand in the server's log under log_statement = ddl.
      password: password.apply((secret) => scramVerifier(planned.name, secret)),
      superuser: false,
      createDatabase: false,
      createRole: false,
      connectionLimit: planned.connectionLimit,
      // Any update of a role rewrites its memberships to exactly these: none.
      roles: [],
      searchPaths: [...(planned.searchPath ?? [])],
      statementTimeout: planned.statementTimeoutMs ?? 0,
      idleInTransactionSessionTimeout: planned.idleInTransactionSessionTimeoutMs ?? 0,
    },
    opts,
  );
  return { tier, role: planned.name, password, resource };
}
