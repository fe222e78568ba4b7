import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../cluster/certificates";
import type { Settings } from "../settings-rules";
import { serverVariables } from "./server-variables";

export interface PlatformSqlArgs {
  /** One idempotent transaction, see sql.ts. */
  readonly sql: string;
  /** Roles that may no longer log in: their sessions are ended, on both servers. @default none */
  readonly endSessionsOf?: readonly string[];
  readonly settings: Settings;
  /** The superuser's. */
  readonly password: pulumi.Output<string>;
  /** What the servers' certificates are verified with. */
  readonly certificates: Certificates;
}

/**
 * What the provider cannot express (event triggers, rights in pg_catalog and on the database), as one idempotent transaction
 * over TCP. It runs again when its text changes; when it fails, `up` fails with PostgreSQL's message and the next one
 * tries again: a resource that was not created is not in the state.
 */
export class PlatformSql extends pulumi.ComponentResource {
  constructor(name: string, args: PlatformSqlArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:access:PlatformSql", name, {}, opts);
    new command.local.Command(
      `${name}-apply`,
      {
        create: "node --import tsx components/access/jobs/apply-sql.ts",
        stdin: args.sql,
        environment: {
          ...serverVariables(args.settings, args.password, args.certificates),
          ...(args.endSessionsOf ? { END_SESSIONS_OF: args.endSessionsOf.join(" ") } : {}),
        },
      },
      { parent: this, dependsOn: opts?.dependsOn ?? [] },
    );
    this.registerOutputs({});
  }
}
