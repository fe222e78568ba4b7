import { services } from "../../services/registry";
import { backupAgent, type BackupAgent } from "./backup";
import { prepareCluster, type TestCluster } from "./cluster";

/** A stack of three services that runs, of which there are backups, with the drill's container. */
export interface DrilledCluster {
  readonly cluster: TestCluster;
  readonly agent: BackupAgent;
  /** The agent in the drill's container. */
  readonly drills: BackupAgent;
}

/** @throws Error where it does not come up; what there is of it is gone then */
export async function drilledCluster(): Promise<DrilledCluster> {
  const cluster = await prepareCluster(services.slice(0, 3), { withBackup: true, withDrill: true });
  const [agent, drills] = [backupAgent(cluster), backupAgent(cluster, cluster.names.drill.container)];
  const { status, output } = await cluster.up();
  if (status !== 0) {
    cluster.clean();
    throw new Error(output);
  }
  await agent.hasBegun();
  return { cluster, agent, drills };
}
