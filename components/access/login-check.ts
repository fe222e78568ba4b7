import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../cluster/certificates";
import type { Settings } from "../settings-rules";
import { serverVariables } from "./server-variables";
import type { Passwords } from "./passwords";
import type { Plan } from "./plan-items";

export interface LoginCheckArgs {
  readonly plan: Plan;
  readonly passwords: Passwords;
  readonly settings: Settings;
  /** The superuser's. */
  readonly password: pulumi.Output<string>;
  readonly certificates: Certificates;
}

/**
 * A real login of every role of a service, whenever one of their passwords is new: that the stack's outputs open the door is
 * tried, not believed. Where one does not, `up` fails.
 */
export class LoginCheck extends pulumi.ComponentResource {
  constructor(name: string, args: LoginCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:LoginCheck", name, {}, opts);
    const { plan, passwords, settings, password, certificates } = args;
    const roles = plan.roles.filter(({ of, login }) => of !== null && login).map((role) => role.name);
    new command.local.Command(
      `${name}-run`,
      {
        create: "node --import tsx components/access/jobs/check-logins.ts",
        stdin: pulumi.jsonStringify(Object.fromEntries(roles.map((role) => [role, passwords.of(role)]))),
        environment: serverVariables(settings, password, certificates),
      },
      { parent: this, dependsOn: opts?.dependsOn ?? [] },
    );
    this.registerOutputs({});
  }
}
