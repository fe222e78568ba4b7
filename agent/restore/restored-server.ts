import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { Client } from "pg";
import { renderLookHba } from "../../components/cluster/configuration/pg-hba";
import { runTool, toolEnvironment, type ToolOptions } from "../tool";

/** Where the container's own programs look. */
const socket = "/var/run/postgresql";

/** Of this container itself. */
const hbaFile = join(tmpdir(), "centraldb-pg_hba.conf");

/** Its first checkpoint writes what the recovery has in memory. */
const promoteSeconds = 3600;

/** A server on a data directory that is to become a node's: with the stack's configuration, and durable. */
export interface RestoredServer {
  /** Resolves when it has ended. */
  readonly ended: Promise<unknown>;
  /** A fast shutdown; resolves when it has ended. */
  stop(): Promise<void>;
  /** Why it has ended, in its own words; "" where it did not say. */
  fault(): string;
  /** Why it has held its recovery by itself; "" where it did not. */
  held(): string;
  /** How often in a row it has found no more WAL than is replayed. */
  waited(): number;
  /** Whether it has reached its target, and stays there. */
  isPaused(): boolean;
  /** Whether all is replayed that makes a base backup whole. */
  isConsistent(): boolean;
  /** Ends its recovery where it is, also where nobody is let in; resolves when it can be asked. */
  promote(): Promise<void>;
  isRunning(): boolean;
}

/** How far it is. */
export interface Replay {
  readonly recovering: boolean;
  /** PostgreSQL's word: `not paused`, `pause requested`, `paused`. */
  readonly pause: string;
  readonly lsn: string | null;
  /** Of the last transaction it has replayed; null where it has replayed none. */
  readonly committedAt: Date | null;
  /** Nothing more to replay is there, and it looks again after a moment. */
  readonly waits: boolean;
}

/** Starts it; in recovery it accepts connections when it is consistent. */
export async function startRestored(data: string, node: string, options: ToolOptions): Promise<RestoredServer> {
  const { configuration } = options.places;
  // Roles are as they were then, with their passwords and rights: nobody of a service gets in before both are the stack's.
  await writeFile(hbaFile, renderLookHba(), { mode: 0o600 });
  // A name to log in with may have line breaks: a line of the server's own bears a word nobody knows.
  const own = randomBytes(8).toString("hex");
  const settings = {
    hba_file: hbaFile,
    ident_file: `${configuration}/pg_ident.conf`,
    ssl_cert_file: `${configuration}/tls/${node}.crt`,
    ssl_key_file: `${configuration}/tls/${node}.key`,
    cluster_name: `${node}-restore`,
    // Beside two servers that have the machine's memory.
    shared_buffers: "128MB",
    primary_conninfo: "",
    primary_slot_name: "",
    wal_retrieve_retry_interval: "500ms",
    log_line_prefix: `%m [%p] ${own} %qsession of %u@%d `,
    lc_messages: "C",
    ...(await atLeastAsThen(data, options)),
  };
  const running = execa("postgres", [...configured(data, options), ...asOptions(settings)], {
    env: toolEnvironment(options.places),
    stdin: "ignore",
    stdout: "ignore",
    buffer: false,
    reject: false,
    // Of its own process group: who ends the agent leaves the server's end to it.
    detached: true,
  });
  const ofServer = new RegExp(`^[^[]*\\[\\d+\\] ${own} (FATAL|PANIC|WARNING|LOG): +(.*)$`);
  let [fault, held, waitedAt] = ["", "", ""];
  let waited = 0;
  let [isConsistent, isPaused] = [false, false];
  createInterface({ input: running.stderr }).on("line", (line) => {
    process.stderr.write(`${line}\n`);
    const [, severity = "", what = ""] = ofServer.exec(line) ?? [];
    if (severity === "FATAL" || severity === "PANIC") fault = what;
    if (what.includes("insufficient parameter settings")) held = what;
    if (what.startsWith("consistent recovery state reached")) isConsistent = true;
    if (what === "pausing at the end of recovery") isPaused = true;
    if (what.startsWith("waiting for WAL to become available at ")) {
      waited = what === waitedAt ? waited + 1 : 1;
      waitedAt = what;
    }
  });
  return {
    ended: running,
    stop: async () => {
      running.kill("SIGINT");
      await running;
    },
    fault: () => fault,
    held: () => held,
    waited: () => waited,
    isPaused: () => isPaused,
    isConsistent: () => isConsistent,
    promote: async () => {
      await runTool("pg_ctl", ["promote", "--pgdata", data, "--wait", "--timeout", String(promoteSeconds)], options);
    },
    isRunning: () => running.exitCode === null && running.signalCode === null,
  };
}

const configured = (data: string, { places }: ToolOptions) => [
  ...["-D", data],
  ...["-c", `config_file=${places.configuration}/postgresql.conf`],
];

const asOptions = (settings: Readonly<Record<string, string>>) =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);

/** A recovery needs at least what its primary had of these; see node.sh. By setting, as pg_controldata calls it. */
const needed = {
  max_connections: "max_connections",
  max_worker_processes: "max_worker_processes",
  max_wal_senders: "max_wal_senders",
  max_prepared_transactions: "max_prepared_xacts",
  max_locks_per_transaction: "max_locks_per_xact",
};

/** Locks are replayed too, and where others need little a primary has room for more of them than its settings say. */
const lockTimes = 4;

async function atLeastAsThen(data: string, options: ToolOptions): Promise<Readonly<Record<string, string>>> {
  const control = await controlData(data, options);
  const rows = Object.entries(needed).map(async ([setting, label]): Promise<[string, string]> => {
    const then = Number(new RegExp(`^${label} setting: +(\\d+)$`, "m").exec(control)?.[1]);
    const now = Number(await runTool("postgres", [...configured(data, options), "-C", setting], options));
    // Not of then: it may be this server's own, started before.
    return [setting, String(Math.max(then, setting === "max_locks_per_transaction" ? lockTimes * now : now))];
  });
  return Object.fromEntries(await Promise.all(rows));
}

export function controlData(data: string, options: ToolOptions): Promise<string> {
  return runTool("pg_controldata", ["-D", data], options);
}

const question = `
  SELECT pg_is_in_recovery() AS recovering,
         CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE '' END AS pause,
         pg_last_wal_replay_lsn()::text AS lsn, pg_last_xact_replay_timestamp() AS "committedAt",
         coalesce((SELECT wait_event = 'RecoveryRetrieveRetryInterval' FROM pg_stat_activity WHERE backend_type = 'startup'), false) AS waits`;

/** undefined where it does not answer. */
export async function askReplay(): Promise<Replay | undefined> {
  const client = await connect().catch(() => undefined);
  if (client === undefined) return undefined;
  try {
    return (await client.query<Replay>(question)).rows[0];
  } catch {
    return undefined; // it has ended
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Holds it where it is. */
export async function pauseReplay(): Promise<void> {
  const client = await connect();
  try {
    await client.query("SELECT pg_wal_replay_pause()");
    while ((await askReplay())?.pause !== "paused") await sleep(100);
  } finally {
    await client.end();
  }
}

async function connect(): Promise<Client> {
  // Somebody's transaction may have locked what is asked.
  const limits = { connectionTimeoutMillis: 10_000, statement_timeout: 5_000 };
  const client = new Client({ host: socket, user: "postgres", database: "postgres", ...limits });
  client.on("error", () => undefined); // a broken connection also rejects the query in progress
  await client.connect();
  return client;
}
