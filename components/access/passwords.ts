import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { tierRole, tiers } from "../../services/service";
import { superuserRole, type Plan } from "./plan-items";
import { scramVerifier } from "./scram";
import type { Verifiers } from "./sql";

export interface PasswordsArgs {
  readonly plan: Plan;
  /** Of the roles of no service: another number than last time is another password. */
  readonly rotation: Readonly<Record<string, number>>;
}

/**
 * A generated password for every role that logs in, and for the superuser. They are not protected: one can be made anew, and
 * the roles it belongs to are.
 */
export class Passwords extends pulumi.ComponentResource {
  private readonly byRole: ReadonlyMap<string, pulumi.Output<string>>;

  constructor(name: string, { plan, rotation }: PasswordsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:Passwords", name, {}, opts);
    const platform = plan.roles.filter(({ carrier }) => carrier === "logins").map((role) => [role.name, role.name]);
    const services = plan.roles.flatMap(({ name: role, of }) => (of ? [[role, `${of.service}-${of.tier}`]] : []));
    const turns = new Map([...Object.entries(rotation), ...serviceTurns(plan)]);
    this.byRole = new Map(
      [[superuserRole, superuserRole], ...platform, ...services].map(([role = "", key = ""]) => {
        const turn = turns.get(role);
        const keepers = turn === undefined ? {} : { keepers: { rotation: String(turn) } };
        const args = { length: 32, special: false, ...keepers };
        return [role, new random.RandomPassword(`${key}-password`, args, { parent: this }).result];
      }),
    );
    this.registerOutputs({});
  }

  /** The password of a role of the plan. */
  of(role: string): pulumi.Output<string> {
    const password = this.byRole.get(role);
    if (password === undefined) throw new RangeError(`no password is planned for ${role}`);
    return password;
  }

  /** The verifiers of these roles, secret. */
  verifiersOf(roles: readonly string[]): pulumi.Output<Verifiers> {
    return pulumi
      .all(roles.map((role) => this.of(role)))
      .apply((secrets) => new Map(secrets.map((secret, i) => [roles[i] ?? "", scramVerifier(roles[i] ?? "", secret)])));
  }
}

/** By role. The first turn is none: a password made before anybody thought of a rotation stays. */
function serviceTurns(plan: Plan): readonly (readonly [role: string, turn: number])[] {
  return plan.services.flatMap(({ code, rotation }) =>
    tiers.flatMap((tier) => (rotation[tier] === 1 ? [] : [[tierRole(code, tier), rotation[tier]] as const])),
  );
}
