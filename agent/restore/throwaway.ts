import { createWriteStream } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { Client } from "pg";
import { BackupFailure } from "../failure";
import { runTool, toolEnvironment, type ToolOptions } from "../tool";

/** A server nobody else reaches: on a socket in its own folder, gone afterwards. */
export interface Throwaway {
  /** Folder of the socket, which libpq and pg take for a host. */
  readonly socket: string;
  /** Any role, without a password. */
  connect(user: string, database: string): Promise<Client>;
}

/** Everybody who is inside the container is trusted; nobody else gets in. */
const hba = "local all all trust\n";

/** What every server here has; a copy of a server brings no configuration of its own along. */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: "",
  // It is thrown away: what a crash would lose is no loss.
  fsync: "off",
  full_page_writes: "off",
  max_connections: "20",
  shared_buffers: "128MB",
  // Parallel workers share memory in files beside the data: a container's /dev/shm has 64 MB.
  dynamic_shared_memory_type: "mmap",
  maintenance_work_mem: "256MB",
  max_wal_senders: "0",
  wal_level: "minimal",
  archive_mode: "off",
  autovacuum: "off",
  jit: "off",
  shared_preload_libraries: "pg_stat_statements",
  lc_messages: "C",
};

const startSeconds = 60;

/** An empty cluster, like the servers' own. */
export async function initialize(data: string, options: ToolOptions): Promise<void> {
  const locale = ["--encoding=UTF8", "--locale=C.UTF-8"];
  const auth = ["--username=postgres", "--auth=trust", "--no-instructions", "--no-sync"];
  await runTool("initdb", [`--pgdata=${data}`, ...locale, ...auth], options);
}

/**
 * Starts a server on `folder`/data, which somebody has made, and ends it after `work`; what it has said is in `folder`/log.
 * @param own settings beside those every server here has
 * @param waitSeconds until it answers; in recovery, without hot standby, it lets nobody in
 * @throws BackupFailure with the end of its log where it does not start
 */
export async function withServer<T>(
  folder: string,
  own: Readonly<Record<string, string>>,
  { places, signal }: ToolOptions,
  work: (server: Throwaway) => Promise<T>,
  waitSeconds = startSeconds,
): Promise<T> {
  const socket = join(folder, "socket");
  await mkdir(socket, { recursive: true, mode: 0o700 });
  const hbaFile = join(folder, "pg_hba.conf");
  await writeFile(hbaFile, hba);
  const empty = join(folder, "postgresql.conf");
  await writeFile(empty, "");
  const all = { ...settings, unix_socket_directories: socket, hba_file: hbaFile, ...own };
  const args = ["-D", join(folder, "data"), "-c", `config_file=${empty}`];
  const running = execa(
    "postgres",
    [...args, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    {
      env: toolEnvironment({ ...places }),
      stdin: "ignore",
      stdout: "ignore",
      buffer: false,
      reject: false,
      // An immediate shutdown: the only one that ends code which no other signal interrupts.
      killSignal: "SIGQUIT",
      forceKillAfterDelay: 30_000,
      ...(signal === undefined ? {} : { cancelSignal: signal }),
    },
  );
  const log = join(folder, "log");
  running.stderr.pipe(createWriteStream(log, { flags: "a" }));
  const connect = async (user: string, database: string) => {
    const client = new Client({ host: socket, user, database, connectionTimeoutMillis: 10_000 });
    client.on("error", () => undefined); // a broken connection also rejects the query in progress
    await client.connect();
    return client;
  };
  try {
    for (const deadline = performance.now() + waitSeconds * 1000; !(await answers(connect));) {
      await sleep(100);
      if (running.exitCode === null && performance.now() < deadline) continue;
      throw new BackupFailure(`the server does not start: ${reason(await readFile(log, "utf8").catch(() => ""))}`);
    }
    return await work({ socket, connect });
  } finally {
    running.kill();
    await running;
    await rm(join(folder, "data"), { recursive: true, force: true });
  }
}

async function answers(connect: Throwaway["connect"]): Promise<boolean> {
  const client = await connect("postgres", "postgres").catch(() => undefined);
  await client?.end();
  return client !== undefined;
}

/** What the server said last of a fault, else at all. */
function reason(log: string): string {
  const lines = log.trim().split("\n");
  const faults = lines.filter((line) => / (ERROR|FATAL|PANIC): /.test(line));
  return (faults.length > 0 ? faults : lines).slice(-2).join("; ");
}
