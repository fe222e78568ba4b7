import { execFile } from "node:child_process";
import { expect } from "vitest";
import type { Manifest } from "../../agent/manifest";
import { agentFile } from "../../components/backup/agent-file";
import type { NodeName } from "../../components/naming";
import type { BackupList } from "../../ops/backup/list";
import type { TestCluster } from "./cluster";
import { waitFor } from "./wait";
import { run, type Ran } from "./run";

/** The backup's container of a cluster, as its operator sees it. */
export interface BackupAgent {
  readonly container: string;
  /** The agent's command line. */
  run(...args: string[]): Ran;
  /** The same while the test does something else. */
  start(...args: string[]): Promise<Ran>;
  list(): BackupList;
  /** Of a backup, as it is in the store; the newest by default. */
  manifest(id?: string): Manifest;
  /** Standard output of a shell as root in the container; throws where it fails. */
  shell(script: string): string;
  log(): string;
  isHealthy(): boolean;
  /** Resolves when the first backup of each kind is there. */
  hasBegun(): Promise<void>;
  /** Asserts that `before` is what it was, that nothing broken or half is beside it, and that WAL of `primary` comes in again. */
  goesOnWith(before: BackupList, primary?: NodeName): Promise<void>;
}

/** @param container @default the program's */
export function backupAgent(cluster: TestCluster, container = cluster.names.backup.container): BackupAgent {
  const command = (args: readonly string[]) => ["exec", container, "node", agentFile, ...args];
  const agent: BackupAgent = {
    container,
    run: (...args) => run("docker", command(args)),
    start: (...args) =>
      new Promise((resolve) => {
        const ended = execFile("docker", command(args), (_, stdout, stderr) => {
          resolve({ status: ended.exitCode, stdout, output: stdout + stderr });
        });
      }),
    list: () => {
      const { status, stdout, output } = agent.run("list");
      if (status !== 0) throw new Error(output);
      return JSON.parse(stdout) as BackupList;
    },
    manifest: (id = agent.list().backups.at(-1)?.id) =>
      JSON.parse(agent.shell(`cat /backups/backups/${id ?? ""}/manifest.json`)) as Manifest,
    shell: (script) => {
      const { status, stdout, output } = run("docker", ["exec", "--user", "root", container, "sh", "-ec", script]);
      if (status !== 0) throw new Error(output);
      return stdout.trim();
    },
    log: () => run("docker", ["logs", container]).output,
    isHealthy: () => agent.run("health").status === 0,
    hasBegun: () => waitFor(() => agent.list().backups.length === 2 && agent.isHealthy(), 120),
    goesOnWith: async (before, primary = "primary") => {
      await waitFor(() => cluster.ask(primary, "SELECT pg_is_in_recovery()") === "f");
      cluster.ask(primary, "SELECT pg_logical_emit_message(false, 'test', 'after the fault')");
      const written = cluster.ask(primary, "SELECT pg_current_wal_lsn()");
      const received = `SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid
                         WHERE s.slot_name = '${cluster.names.backup.slot}' AND r.write_lsn >= '${written}'`;
      await waitFor(() => cluster.ask(primary, received) === "1" && agent.isHealthy(), 180).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${agent.log().split("\n").slice(-20).join("\n")}`);
      });
      const { backups, broken } = agent.list();
      const known = new Set(before.backups.map(({ id }) => id));
      expect(broken).toEqual([]);
      expect(backups.filter(({ id }) => known.has(id))).toEqual(before.backups);
      // One that is made at this moment, of its own accord, is finished soon; what a fault has left stays.
      const folders = () => agent.shell("ls /backups/backups").split("\n");
      await waitFor(() => !folders().some((name) => name.endsWith(".partial")));
      expect(folders()).toEqual(agent.list().backups.map(({ id }) => id));
    },
  };
  return agent;
}

/** A run of the agent that waits for what somebody has locked, so that a test can do to it what it wants. */
export interface HeldRun {
  /** How the run ended. */
  readonly ended: Promise<Ran>;
  /** Gives it back. */
  readonly release: () => Promise<void>;
}

/**
 * Begins a dump, and holds it: an owner has begun something that locks. A table or a sequence keeps the agent from its
 * snapshot, a materialized view keeps pg_dump. After {@link maxLockWaitSeconds} the agent holds still no longer.
 */
export async function holdDump(
  cluster: TestCluster,
  agent: BackupAgent,
  owner: string,
  statement: string,
): Promise<HeldRun> {
  const session = await cluster.login("primary", owner);
  await session.query(`SET idle_in_transaction_session_timeout = 0; BEGIN; ${statement}`);
  const ended = agent.start("now", "logical");
  const waiting = `SELECT count(*) FROM pg_stat_activity
                    WHERE usename = 'app' AND application_name = 'centraldb-backup' AND wait_event_type = 'Lock'`;
  await waitFor(() => Number(cluster.ask("primary", waiting)) > 0);
  return { ended, release: () => session.end().catch(() => undefined) };
}
