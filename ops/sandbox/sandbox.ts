import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { planAccess } from "../../components/access/plan";
import { rolesWithPassword, type Plan } from "../../components/access/plan-items";
import { database, type Settings } from "../../components/settings-rules";
import type { Service } from "../../services/service";
import type { EffectReport } from "../effect-test/effect-test";
import { OperatorError } from "../operator-error";
import { applyPlan, asSuperuser, testPlanEffect } from "./apply";
import { completePasswords, passwordOf, readPasswords, writePasswords, type Passwords } from "./credentials";
import {
  checkServerCanRun,
  isServed,
  makeDataDirectory,
  startEmbeddedServer,
  stopLeftover,
  type EmbeddedServer,
} from "./embedded-server";
import { checkPortFree } from "./port";
import { copyAsStandby, isStandby, replicaSlot, prepareStandby } from "./replica";

export interface SandboxOptions {
  /** Everything the sandbox keeps: data, credentials, log. */
  readonly folder: string;
  /** Of the primary, on 127.0.0.1. */
  readonly port: number;
  readonly replicaPort: number;
  /** Valid, see validateRegistry. */
  readonly services: readonly Service[];
  readonly settings: Settings;
  /** Told what happens, a line at a time. */
  readonly report: (line: string) => void;
}

/** A running sandbox. */
export interface Sandbox {
  readonly plan: Plan;
  /** Resolves when either server has ended by itself; the name of its log file. */
  readonly ended: Promise<string>;
  readonly credentialsFile: string;
  /** The server's version, e.g. `16.14`. */
  readonly version: string;
  readonly effect: EffectReport;
  /** Stops both servers; the data stay. */
  stop(): Promise<void>;
}

/** Files of a sandbox folder. */
export interface SandboxFiles {
  readonly data: string;
  readonly replicaData: string;
  readonly credentials: string;
  readonly log: string;
  readonly replicaLog: string;
  /** Password of role repl, for the replica. */
  readonly replicaPasswordFile: string;
  /** Holds the process number of the sandbox that runs here. */
  readonly lock: string;
}

export function sandboxFiles(folder: string): SandboxFiles {
  return {
    data: join(folder, "data"),
    replicaData: join(folder, "replica"),
    credentials: join(folder, "credentials.env"),
    log: join(folder, "server.log"),
    replicaLog: join(folder, "replica.log"),
    replicaPasswordFile: join(folder, "replica.pgpass"),
    lock: join(folder, "sandbox.pid"),
  };
}

/**
 * The stack's plan on two embedded PostgreSQL: starts the primary, applies the registry as it is now, brings up its
 * replica, tests the effect.
 * @throws OperatorError for whatever the person can mend; nothing keeps running then
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { folder, services, settings } = options;
  const plan = planAccess(services, { database, extensions: settings.extensions });

  const files = sandboxFiles(folder);
  mkdirSync(folder, { recursive: true });
  checkServerCanRun(folder);
  takeLock(files.lock);
  const running = new Map<"primary" | "replica", EmbeddedServer>();
  const stop = async () => {
    // The replica last: it has then replayed everything.
    await running.get("primary")?.stop();
    await running.get("replica")?.stop();
    rmSync(files.lock, { force: true });
  };
  try {
    const { version, effect } = await bringUp(options, plan, files, running);
    const ended = [...running].map(([name, server]) =>
      server.ended.then(() => (name === "primary" ? files.log : files.replicaLog)),
    );
    return { plan, ended: Promise.race(ended), credentialsFile: files.credentials, version, effect, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bringUp(
  { port, replicaPort, settings, report }: SandboxOptions,
  plan: Plan,
  files: SandboxFiles,
  running: Map<"primary" | "replica", EmbeddedServer>,
): Promise<{ version: string; effect: EffectReport }> {
  const passwords = preparePasswords(plan, files, port, replicaPort);
  for (const data of [files.replicaData, files.data]) {
    if (!isServed(data)) continue;
    report(`stopping the server an earlier run left behind in ${data}`);
    stopLeftover(data);
  }
  await checkPortFree(port, "--port");
  await checkPortFree(replicaPort, "--replica-port");

  const common = { max_connections: String(settings.maxConnections), log_line_prefix: "%m %u@%d " };
  const startPrimary = async () => {
    const superuserPassword = passwordOf(passwords, "postgres");
    const server = { dataDir: files.data, port, superuserPassword, logFile: files.log };
    running.set("primary", await startEmbeddedServer({ ...server, settings: { ...preload, ...common } }));
  };
  const startReplica = async () => {
    const password = passwordOf(passwords, "repl");
    const standby = prepareStandby(files.replicaPasswordFile, password, port, files.replicaData);
    const server = { dataDir: files.replicaData, port: replicaPort, superuserPassword: "", logFile: files.replicaLog };
    running.set("replica", await startEmbeddedServer({ ...server, settings: { ...preload, ...common, ...standby } }));
    return follows(port, passwords);
  };
  /** Copies the primary, which must not run; after a crash it first recovers. */
  const copyReplica = async () => {
    if (existsSync(join(files.data, "postmaster.pid"))) {
      await startPrimary();
      await running.get("primary")?.stop();
    }
    makeDataDirectory({ dataDir: files.data, superuserPassword: passwordOf(passwords, "postgres") });
    copyAsStandby(files.data, files.replicaData);
  };

  if (!isStandby(files.replicaData)) await copyReplica();
  await startPrimary();
  await asSuperuser(port, passwords, "postgres", async (superuser) => {
    await superuser.query(createSlot, [replicaSlot]);
  });
  const version = await applyPlan(plan, port, passwords, report);
  if (!(await startReplica())) {
    report("the replica does not follow its primary: copying it anew");
    await running.get("replica")?.stop();
    await running.get("primary")?.stop();
    await copyReplica();
    await startPrimary();
    if (!(await startReplica())) {
      throw new OperatorError(`the replica does not follow its primary; see ${files.replicaLog}`);
    }
  }
  return { version, effect: await testPlanEffect(plan, port, passwords) };
}

/** As the stack's nodes have it; the extension is part of the plan. */
const preload = { shared_preload_libraries: "pg_stat_statements" };

const createSlot = `SELECT pg_create_physical_replication_slot($1, true)
 WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`;

/** Whether the replica streams, within ten seconds. */
async function follows(port: number, passwords: Passwords): Promise<boolean> {
  return asSuperuser(port, passwords, "postgres", async (superuser) => {
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline) {
      const { rowCount } = await superuser.query("SELECT FROM pg_stat_replication WHERE state = 'streaming'");
      if (rowCount === 1) return true;
      await sleep(50);
    }
    return false;
  });
}

/** One sandbox per folder: a second one would take the first one's server for a leftover. */
function takeLock(lock: string): void {
  refuseSecond(lock);
  writeFileSync(lock, String(process.pid));
}

/** @throws OperatorError when another process holds the lock */
export function refuseSecond(lock: string): void {
  const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
  // 0 and below are no process but many: what a full disk left of the file.
  if (holder > 0 && holder !== process.pid && isAlive(holder)) {
    throw new OperatorError(
      `a sandbox is running in this folder already (process ${holder}): use it, or stop it first; ` +
        `if that process is something else, delete ${lock}`,
    );
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function preparePasswords(plan: Plan, files: SandboxFiles, port: number, replicaPort: number): Passwords {
  const known = readPasswords(files.credentials);
  if (existsSync(join(files.data, "PG_VERSION")) && !known.has("postgres")) {
    throw new OperatorError(
      `${files.credentials} is missing or has no POSTGRES_PASSWORD, and the data in ${files.data} need it: ` +
        "put the file back, or delete the data with --reset",
    );
  }
  const passwords = completePasswords(known, ["postgres", ...rolesWithPassword(plan)]);
  writePasswords(files.credentials, passwords, plan, { primary: port, replica: replicaPort });
  return passwords;
}
