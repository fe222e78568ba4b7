import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ServerEndpoint } from "../cluster/cluster";

export interface PlatformSqlArgs {
  /** One idempotent transaction, see sql.ts. */
  readonly sql: string;
  readonly endpoint: ServerEndpoint;
}

/**
 * What the provider cannot express (event triggers, rights in pg_catalog and on the database), as one idempotent transaction
 * over TCP. It runs again when its text changes; when it fails, `up` fails with PostgreSQL's message and the next one
 * tries again: a resource that was not created is not in the state.
 */
export class PlatformSql extends pulumi.ComponentResource {
  constructor(name: string, args: PlatformSqlArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:PlatformSql", name, {}, opts);
    const { endpoint } = args;
    new command.local.Command(
      `${name}-apply`,
      {
        create: "node --import tsx components/access/apply-sql.ts",
        stdin: args.sql,
        environment: {
          PGHOST: endpoint.host,
          PGPORT: String(endpoint.port),
          PGDATABASE: endpoint.database,
          PGUSER: endpoint.superuser,
          PGPASSWORD: endpoint.superuserPassword,
        },
      },
      { parent: this, dependsOn: opts?.dependsOn ?? [] },
    );
    this.registerOutputs({});
  }
}
