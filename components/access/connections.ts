import * as pulumi from "@pulumi/pulumi";
import { connectionOf, type Connection, type Endpoints } from "./endpoints";
import type { ServiceDatabase } from "./service-database";

/** How each service's roles connect, by service name and tier; secret as a whole. */
export function serviceConnections(
  databases: readonly ServiceDatabase[],
  endpoints: Endpoints,
): pulumi.Output<Record<string, Record<string, Connection>>> {
  const byService = databases.map(({ service, logins }) => {
    const byTier = logins.map(({ tier, role, password }) => [
      tier,
      password.apply((secret) => connectionOf(role, tier, secret, endpoints)),
    ]);
    return [service.name, Object.fromEntries(byTier) as Record<string, pulumi.Output<Connection>>];
  });
  return pulumi.secret(pulumi.output(Object.fromEntries(byService) as Record<string, Record<string, Connection>>));
}
