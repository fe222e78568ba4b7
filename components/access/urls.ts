import * as pulumi from "@pulumi/pulumi";
import type { ServerEndpoint } from "../cluster/cluster";
import type { ServiceDatabase } from "./service-database";

/** Connection URL by service name and tier; secret as a whole. */
export function serviceUrls(
  databases: readonly ServiceDatabase[],
  endpoint: ServerEndpoint,
): pulumi.Output<Record<string, Record<string, string>>> {
  const byService = databases.map(({ service, logins }) => {
    const byTier = logins.map(({ tier, role, password }) => [
      tier,
      password.apply((secret) => url(role, secret, endpoint)),
    ]);
    return [service.name, Object.fromEntries(byTier) as Record<string, pulumi.Output<string>>];
  });
  return pulumi.secret(pulumi.output(Object.fromEntries(byService) as Record<string, Record<string, string>>));
}

function url(role: string, password: string, { host, port, database }: ServerEndpoint): string {
  return `postgresql://${encodeURIComponent(role)}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}
