import * as pulumi from "@pulumi/pulumi";

/**
 * Depends on everything else and is protected where the stack is: destroy begins with it, and ends there. Protected volumes
 * alone would be reached last, when containers and grants are gone (`pulumi destroy --skip-preview`).
 */
export class Keeper extends pulumi.ComponentResource {
  constructor(name: string, { protect }: { readonly protect: boolean }, opts: pulumi.ComponentResourceOptions) {
    super("centraldb:lifecycle:Keeper", name, {}, { ...opts, protect });
    this.registerOutputs({});
  }
}
