import type * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../cluster/certificates";
import type { Settings } from "../settings-rules";
import { endpointsOf } from "./endpoints";

/** What a job needs to reach both servers as superuser over TCP; see jobs/servers.ts. */
export function serverVariables(
  settings: Settings,
  password: pulumi.Output<string>,
  certificates: Certificates,
): Record<string, pulumi.Input<string>> {
  const { database, rw, ro } = endpointsOf(settings);
  // In an order of their own: which of them is the primary the servers say, and a failover changes nothing here.
  const ports = [rw, ro].map(({ host }) => host.port).sort((a, b) => a - b);
  return {
    PGHOST: rw.host.host,
    PGPORT: ports.join(","),
    PGDATABASE: database,
    PGUSER: "postgres",
    PGPASSWORD: password,
    CA_CERTIFICATE: certificates.authority,
  };
}
