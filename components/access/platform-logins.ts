import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { dockerVariables } from "../cluster/docker-cli";
import { dockerNames, nodeNames } from "../naming";
import { database, type Settings } from "../settings-rules";
import type { Passwords } from "./passwords";
import { carriedBy, dumpRole, superuserRole, type Plan } from "./plan-items";
import { renderLogins } from "./sql";

export interface PlatformLoginsArgs {
  readonly plan: Plan;
  readonly passwords: Passwords;
  readonly settings: Settings;
  /** `DOCKER_HOST` for the job beside the provider; undefined where the environment says it. */
  readonly dockerHost: string | undefined;
}

/**
 * The logins that belong to no service: the superuser, `app` for dumps and monitoring, `repl` for replication. They get their
 * passwords over the primary's socket, where the system user is asked and no password: a new one locks nobody out, also
 * where the old one is lost. Then `app` and `repl` log in with theirs.
 */
export class PlatformLogins extends pulumi.ComponentResource {
  /** Known when the logins have their passwords. */
  readonly done: pulumi.Output<string>;

  constructor(name: string, args: PlatformLoginsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:PlatformLogins", name, {}, opts);
    const { plan, passwords, settings, dockerHost } = args;
    const names = dockerNames(settings.namePrefix);
    const roles = [superuserRole, ...carriedBy(plan, "logins").roles.map((role) => role.name)];
    const apply = new command.local.Command(
      `${name}-apply`,
      {
        create: "node --import tsx components/cluster/jobs/socket-sql.ts",
        stdin: pulumi.jsonStringify({
          sql: passwords.verifiersOf(roles).apply((verifiers) => renderLogins(plan, verifiers)),
          appPassword: passwords.of(dumpRole),
        }),
        environment: {
          // Which of them is the primary they say themselves: a failover changes nothing here.
          NODES: nodeNames.map((node) => names[node].container).join(" "),
          DATABASE: database,
          ...dockerVariables(dockerHost),
        },
      },
      { parent: this, dependsOn: opts?.dependsOn ?? [] },
    );
    this.done = apply.id;
    this.registerOutputs({});
  }
}
