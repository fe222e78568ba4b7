import * as postgresql from "@pulumi/postgresql";
import * as pulumi from "@pulumi/pulumi";
import type { PlatformPasswords } from "../cluster/cluster";
import { dumpRole, replicationRole, type Plan } from "./plan-items";
import { scramVerifier } from "./scram";

export interface PlatformRolesArgs {
  readonly plan: Plan;
  readonly passwords: PlatformPasswords;
  /** Roles are protected and outlive a destroy. */
  readonly protect: boolean;
  /** With it the data are gone: the roles need not be dropped one by one. */
  readonly volume: pulumi.Resource;
}

/** The page's own two logins, which belong to no service: `app` for dumps and monitoring, `repl` for replication. */
export class PlatformRoles extends pulumi.ComponentResource {
  constructor(name: string, args: PlatformRolesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:PlatformRoles", name, {}, opts);
    const passwords: Readonly<Record<string, pulumi.Output<string>>> = {
      [dumpRole]: args.passwords.dump,
      [replicationRole]: args.passwords.replication,
    };
    for (const role of args.plan.roles) {
      const password = passwords[role.name];
      if (password === undefined) continue;
      new postgresql.Role(
        `${name}-${role.name}`,
        {
          name: role.name,
          login: role.login,
          password: password.apply((secret) => scramVerifier(role.name, secret)),
          superuser: false,
          createDatabase: false,
          createRole: false,
          replication: role.replication,
          bypassRowLevelSecurity: role.bypassRowSecurity,
          connectionLimit: role.connectionLimit,
          roles: [...role.memberOf],
        },
        {
          parent: this,
          protect: args.protect,
          retainOnDelete: args.protect,
          deletedWith: args.volume,
          dependsOn: opts?.dependsOn ?? [],
        },
      );
    }
    this.registerOutputs({});
  }
}
