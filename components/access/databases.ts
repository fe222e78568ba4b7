import type * as pulumi from "@pulumi/pulumi";
import { ServiceDatabase, type ServiceDatabaseArgs } from "./service-database";
import { declareReads } from "./service-reads";

/** Every service's roles and schema, and what services read of each other, which stands on all of them. */
export function declareDatabases(
  args: Omit<ServiceDatabaseArgs, "service">,
  opts: pulumi.ComponentResourceOptions & Required<Pick<pulumi.ComponentResourceOptions, "providers">>,
): { readonly databases: ServiceDatabase[]; readonly reads: readonly pulumi.Resource[] } {
  const { plan, volume } = args;
  const databases = plan.services.map((service) => new ServiceDatabase(service.name, { ...args, service }, opts));
  return { databases, reads: declareReads("reads", { plan, databases, volume }, { providers: opts.providers }) };
}
