import * as postgresql from "@pulumi/postgresql";
import type * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../cluster/certificates";
import type { Settings } from "../settings-rules";
import { endpointsOf } from "./endpoints";

export interface ServerProviderArgs {
  readonly settings: Settings;
  /** The superuser's. */
  readonly password: pulumi.Output<string>;
  /** What the servers' certificates are verified with. */
  readonly certificates: Certificates;
  readonly dependsOn: pulumi.Resource;
}

/**
 * The provider of roles, schemas and grants, on the primary. It neither waits nor tries again: `dependsOn` the node that
 * is the primary. A failover changes its port and nothing of what it manages.
 */
export function serverProvider(
  name: string,
  { settings, password, certificates, dependsOn }: ServerProviderArgs,
): postgresql.Provider {
  const { rw, database } = endpointsOf(settings);
  return new postgresql.Provider(
    name,
    {
      ...rw.host,
      username: "postgres",
      password,
      // A role's REASSIGN OWNED and DROP OWNED run only here.
      database,
      sslmode: "verify-full",
      // Text instead of a path, which every other checkout, and a refresh, would lack. What says so is an option of clientcert.
      sslrootcert: certificates.authority,
      clientcert: { cert: certificates.client.certificate, key: certificates.client.key, sslinline: true },
      maxConnections: 5, // of those the connection budget keeps for operators
      expectedVersion: "16.0.0",
    },
    { dependsOn },
  );
}
