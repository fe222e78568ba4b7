import { superuserRole } from "../../components/access/plan-items";
import type { ResolvedService } from "../../services/service";
import { services } from "../../services/registry";
import type { Platform } from "../../ops/restore/platform";
import { appliedRegistry } from "../../ops/restore/plan-now";
import { backupAgent, type BackupAgent } from "./backup";
import { prepareCluster, type TestCluster } from "./cluster";
import { fakePassword } from "./mocks";

/** A cluster as `npm run ops -- restore` sees a stack. */
export function platformOn(cluster: TestCluster, name = "dev"): Platform {
  const { passwords, ...target } = cluster.target(cluster.settings.primaryNode);
  const stack = { name, settings: cluster.settings, dockerHost: undefined };
  return {
    ...{ stack, applied: appliedRegistry(stack) },
    plan: cluster.plan,
    logins: { ...target, passwords: new Map([...passwords, [superuserRole, fakePassword("postgres-password")]]) },
  };
}

/** A stack of three services that runs, of which there are backups. */
export interface RestorableCluster {
  readonly cluster: TestCluster;
  readonly agent: BackupAgent;
  /** What a query of the superuser gives in a database of the primary. */
  readonly inDatabase: (name: string, query: string) => string;
  /** Rows a role gets on the primary. */
  readonly as: (role: string, sql: string) => Promise<unknown[]>;
  /** @throws Error for a code that is none */
  readonly serviceOf: (code: string) => ResolvedService;
}

/** @throws Error where it does not come up; what there is of it is gone then */
export async function restorableCluster(): Promise<RestorableCluster> {
  const cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  const agent = backupAgent(cluster);
  const { status, output } = await cluster.up();
  if (status !== 0) {
    cluster.clean();
    throw new Error(output);
  }
  await agent.hasBegun();
  return {
    cluster,
    agent,
    inDatabase: (name, query) => {
      const asked = cluster.exec("primary", "psql", "-XAtU", "postgres", "-d", name, "-c", query);
      if (asked.status !== 0) throw new Error(asked.output);
      return asked.output.trim();
    },
    as: async (role, sql) => {
      const client = await cluster.login("primary", role);
      const results = await client.query<Record<string, unknown>>(sql).finally(() => client.end());
      return Array.isArray(results) ? [] : results.rows;
    },
    serviceOf: (code) => {
      const service = cluster.plan.services.find((one) => one.code === code);
      if (service === undefined) throw new Error(`no ${code}`);
      return service;
    },
  };
}

/** A hundred rows of gt, five of ag, seven of sc; and a table into which a loop of logins writes. */
export async function makeRows(as: RestorableCluster["as"]): Promise<void> {
  await as(
    "gtown",
    "CREATE TABLE gt_rows AS SELECT generate_series(1, 100) AS id; CREATE TABLE gt_tokens (loop int, token int)",
  );
  await as("agown", "CREATE TABLE ag_rows AS SELECT generate_series(1, 5) AS id");
  await as("scown", "CREATE TABLE sc_rows AS SELECT generate_series(1, 7) AS id");
}
