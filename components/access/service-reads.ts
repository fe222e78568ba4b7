import * as pulumi from "@pulumi/pulumi";
import type { Plan } from "./plan-items";
import { declareSchemaItems } from "./schema-grants";
import { schemaItems } from "./schema-items";
import type { ServiceDatabase } from "./service-database";

export interface ServiceReadsArgs {
  readonly plan: Plan;
  /** Every service of the plan. */
  readonly databases: readonly ServiceDatabase[];
  /** As in ServiceDatabaseArgs. */
  readonly volume: pulumi.Resource;
  /** What takes from readers what they may not call: before they read. */
  readonly after: pulumi.Resource;
}

/**
 * What services may read of each other. A component of its own, after all services: a grant depends on the role that
 * reads and on the schema that is read, so that two services that read each other make no cycle.
 */
class ServiceReads extends pulumi.ComponentResource {
  constructor(name: string, args: ServiceReadsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:ServiceReads", name, {}, opts);
    const { plan, databases, volume, after } = args;
    for (const { service, chain } of databases) {
      const items = schemaItems(plan, service.code).reads;
      const readers = databases.flatMap(({ logins }) =>
        logins.filter(({ role }) => items.some(({ to }) => to === role)),
      );
      const before = [after, ...chain.slice(-1), ...readers.map(({ resource }) => resource)];
      declareSchemaItems(`${name}-${service.name}`, plan.database, items, before, {
        parent: this,
        deletedWith: volume,
      });
    }
    this.registerOutputs({});
  }
}

/** None where no service reads another: a component without children is a leaf, which a destroy that is refused removes. */
export function declareReads(
  name: string,
  args: ServiceReadsArgs,
  opts: pulumi.ComponentResourceOptions,
): readonly ServiceReads[] {
  return args.plan.services.some(({ reads }) => reads.length > 0) ? [new ServiceReads(name, args, opts)] : [];
}
