import type { NodeName } from "../../components/naming";
import type { TestCluster } from "./cluster";
import { waitFor } from "./wait";

/** Writes about this much WAL, with a checkpoint after each part, which must not hang. */
export async function writeWal(cluster: TestCluster, primary: NodeName, mebibytes: number): Promise<void> {
  const superuser = await cluster.login(primary, "postgres");
  await superuser.query("SET statement_timeout = '90s'");
  for (let written = 0; written < mebibytes; written += 50) {
    await superuser.query(
      "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1048576)) FROM generate_series(1, 50)",
    );
    await superuser.query("CHECKPOINT");
  }
  await superuser.end();
}

/** Completes so many segments of WAL, each with something in it that gzip cannot make small. */
export function completeSegments(cluster: TestCluster, primary: NodeName, count: number): void {
  const noise = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30000))";
  for (let completed = 0; completed < count; completed++) {
    cluster.ask(primary, `SELECT pg_logical_emit_message(false, 'test', ${noise})`);
    cluster.ask(primary, "SELECT pg_switch_wal()");
  }
}

/** MiB of WAL a server has. */
export function walMiB(cluster: TestCluster, node: NodeName): number {
  return Number(cluster.ask(node, "SELECT sum(size) / 1048576 FROM pg_ls_waldir()"));
}

/** Resolves when the archive has all that was written so far; a time after it can be asked for. */
export async function allReceived(cluster: TestCluster, primary: NodeName = "primary"): Promise<void> {
  cluster.ask(primary, "SELECT pg_logical_emit_message(true, 'test', 'so that something is newer')");
  const written = cluster.ask(primary, "SELECT pg_current_wal_lsn()");
  const has = `SELECT bool_or(write_lsn >= '${written}') FROM pg_stat_replication WHERE application_name = 'centraldb-backup'`;
  await waitFor(() => cluster.ask(primary, has) === "t");
}
