import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, DatabaseError } from "pg";
import { planAccess } from "../../components/access/plan";
import { platformRole, type Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import { database, type Settings } from "../../components/settings-rules";
import type { Service } from "../../services/service";
import { formatProblems, validateRegistry } from "../../services/validate";
import { testEffect, type EffectReport } from "../effect-test/effect-test";
import { OperatorError } from "../operator-error";
import { completePasswords, readPasswords, writePasswords, type Passwords } from "./credentials";
import { checkServerCanRun, isServed, startEmbeddedServer, stopLeftover, type EmbeddedServer } from "./embedded-server";

export interface SandboxOptions {
  /** Everything the sandbox keeps: data, credentials, log. */
  readonly folder: string;
  readonly port: number;
  readonly services: readonly Service[];
  readonly settings: Settings;
  /** Told what happens, a line at a time. */
  readonly report: (line: string) => void;
}

/** A running sandbox. */
export interface Sandbox {
  readonly plan: Plan;
  readonly server: EmbeddedServer;
  readonly credentialsFile: string;
  /** The server's version, e.g. `16.14`. */
  readonly version: string;
  readonly effect: EffectReport;
  /** Stops the server; the data stay. */
  stop(): Promise<void>;
}

/** Files of a sandbox folder. */
export interface SandboxFiles {
  readonly data: string;
  readonly credentials: string;
  readonly log: string;
  /** Holds the process number of the sandbox that runs here. */
  readonly lock: string;
}

export function sandboxFiles(folder: string): SandboxFiles {
  return {
    data: join(folder, "data"),
    credentials: join(folder, "credentials.env"),
    log: join(folder, "server.log"),
    lock: join(folder, "sandbox.pid"),
  };
}

/**
 * The stack's plan on an embedded PostgreSQL: starts the server, applies the registry as it is now, tests its effect.
 * @throws OperatorError for whatever the person can mend; nothing keeps running then
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { folder, port, services, settings, report } = options;
  const problems = validateRegistry(services, settings.maxConnections);
  if (problems.length > 0) throw new OperatorError(formatProblems(problems));
  const plan = planAccess(services, { database, extensions: settings.extensions });

  const files = sandboxFiles(folder);
  mkdirSync(folder, { recursive: true });
  checkServerCanRun(folder);
  takeLock(files.lock);
  try {
    const passwords = preparePasswords(plan, files, port);
    if (isServed(files.data)) {
      report("stopping the server an earlier run left behind");
      stopLeftover(files.data);
    }
    const server = await startEmbeddedServer({
      dataDir: files.data,
      port,
      superuserPassword: passwordOf(passwords, "postgres"),
      logFile: files.log,
      settings: { max_connections: String(settings.maxConnections), log_line_prefix: "%m %u@%d " },
    });
    const stop = async () => {
      await server.stop();
      rmSync(files.lock, { force: true });
    };
    try {
      const { version, effect } = await applyAndTest(plan, port, passwords, report);
      return { plan, server, credentialsFile: files.credentials, version, effect, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    rmSync(files.lock, { force: true });
    throw error;
  }
}

/** One sandbox per folder: a second one would take the first one's server for a leftover. */
function takeLock(lock: string): void {
  refuseSecond(lock);
  writeFileSync(lock, String(process.pid));
}

/** @throws OperatorError when another process holds the lock */
export function refuseSecond(lock: string): void {
  const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : undefined;
  if (holder !== undefined && holder !== process.pid && isAlive(holder)) {
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

function preparePasswords(plan: Plan, files: SandboxFiles, port: number): Passwords {
  const known = readPasswords(files.credentials);
  if (existsSync(files.data) && !known.has("postgres")) {
    throw new OperatorError(
      `${files.credentials} is missing or has no POSTGRES_PASSWORD, and the data in ${files.data} need it: ` +
        "put the file back, or delete the data with --reset",
    );
  }
  const logins = plan.roles.filter(({ login }) => login).map(({ name }) => name);
  const passwords = completePasswords(known, ["postgres", ...logins]);
  writePasswords(files.credentials, passwords, port, plan.database);
  return passwords;
}

async function applyAndTest(
  plan: Plan,
  port: number,
  passwords: Passwords,
  report: (line: string) => void,
): Promise<{ version: string; effect: EffectReport }> {
  await createDatabase(plan, port, passwords);
  const superuser = await connect(port, passwords, plan.database);
  try {
    const verifiers = plan.roles
      .filter(({ login }) => login)
      .map(({ name }) => [name, scramVerifier(name, passwordOf(passwords, name))] as const);
    await superuser.query(renderPlan(plan, new Map(verifiers))).catch((error: unknown) => {
      if (!(error instanceof DatabaseError)) throw error;
      throw new OperatorError(
        `the plan cannot be applied, nothing was changed: ${error.message} ${error.hint ?? ""}`.trim(),
      );
    });
    // A run that was killed during its test left it set.
    await superuser.query(`ALTER DATABASE ${plan.database} RESET log_min_messages`);

    for (const schema of await schemasNotPlanned(superuser, plan)) {
      report(
        `warning: no service of the registry has the schema ${schema}: its data are kept, its roles cannot connect`,
      );
    }

    const target = { host: "127.0.0.1", port, database: plan.database, passwords };
    const effect = await withoutErrorLog(superuser, plan.database, () => testEffect(plan, target, superuser));
    const { rows } = await superuser.query<{ server_version: string }>("SHOW server_version");
    return { version: rows[0]?.server_version ?? "16", effect };
  } finally {
    await superuser.end();
  }
}

/** Thousands of refusals are the point of the test and would bury what a developer looks for in the log. */
async function withoutErrorLog<T>(superuser: Client, database: string, work: () => Promise<T>): Promise<T> {
  await superuser.query(`ALTER DATABASE ${database} SET log_min_messages = fatal`);
  try {
    return await work();
  } finally {
    await superuser.query(`ALTER DATABASE ${database} RESET log_min_messages`);
  }
}

async function createDatabase(plan: Plan, port: number, passwords: Passwords): Promise<void> {
  const maintenance = await connect(port, passwords, "postgres");
  try {
    const { rowCount } = await maintenance.query("SELECT FROM pg_database WHERE datname = $1", [plan.database]);
    if (rowCount === 0) await maintenance.query(`CREATE DATABASE ${plan.database}`);
  } finally {
    await maintenance.end();
  }
}

async function schemasNotPlanned(superuser: Client, plan: Plan): Promise<string[]> {
  const { rows } = await superuser.query<{ nspname: string }>(
    "SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) = $1 AND nspname <> ALL ($2) ORDER BY nspname",
    [platformRole, plan.schemas.map(({ name }) => name)],
  );
  return rows.map(({ nspname }) => nspname);
}

async function connect(port: number, passwords: Passwords, to: string): Promise<Client> {
  const client = new Client({
    host: "127.0.0.1",
    port,
    user: "postgres",
    password: passwordOf(passwords, "postgres"),
    database: to,
  });
  client.on("error", () => undefined); // the server's end also rejects the query in progress
  await client.connect().catch((error: unknown) => {
    if (!(error instanceof DatabaseError && error.code === "28P01")) throw error;
    throw new OperatorError(
      "the POSTGRES_PASSWORD of credentials.env is not the one the data were made with: put the right one back, " +
        "or delete the data with --reset",
    );
  });
  return client;
}

function passwordOf(passwords: Passwords, role: string): string {
  const password = passwords.get(role);
  if (password === undefined) throw new Error(`no password for ${role}`);
  return password;
}
