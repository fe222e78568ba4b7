import { randomBytes, randomInt } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { planAccess } from "../../components/access/plan";
import { rolesWithPassword, type Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import type { LoginTarget } from "../../ops/effect-test/run";
import { startEmbeddedServer, type EmbeddedServer } from "../../ops/sandbox/embedded-server";

/** An embedded PostgreSQL of one test file, in a folder of its own, gone with stop(). */
export interface TestServer extends LoginTarget {
  /** Runs SQL as postgres. */
  readonly superuser: Client;
  /** Runs SQL as a role, on a connection of its own. */
  as(role: string, sql: string): Promise<Record<string, unknown>[]>;
  /** A connection of a role that stays; end() it. */
  session(role: string): Promise<Client>;
  /** Applies a plan with the passwords of this server. */
  apply(plan: Plan): Promise<void>;
  stop(): Promise<void>;
}

const database = "appdb";
export const testExtensions = ["citext"];

/** Starts a server with an empty appdb; the passwords of `plan`'s roles are made here. */
export async function startTestServer(plan: Plan): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-test-"));
  chmodSync(folder, 0o755); // the server's user is another one when the tests run as root
  const port = await freePort();
  const superuserPassword = password();
  const server: EmbeddedServer = await startEmbeddedServer({
    dataDir: join(folder, "data"),
    port,
    superuserPassword,
    logFile: join(folder, "server.log"),
    settings: { max_connections: "200", fsync: "off", log_min_messages: "fatal" },
  });
  const connect = async (user: string, secret: string | undefined, to: string) => {
    const client = new Client({ host: "127.0.0.1", port, user, password: secret, database: to });
    client.on("error", () => undefined); // the server's stop ends it
    await client.connect();
    return client;
  };
  const maintenance = await connect("postgres", superuserPassword, "postgres");
  await maintenance.query(`CREATE DATABASE ${database}`);
  await maintenance.end();
  const superuser = await connect("postgres", superuserPassword, database);

  const passwords = new Map(rolesWithPassword(plan).map((role) => [role, password()]));
  const verifiers = new Map([...passwords].map(([role, secret]) => [role, scramVerifier(role, secret)]));
  return {
    host: "127.0.0.1",
    port,
    database,
    passwords,
    superuser,
    as: async (role, sql) => {
      const client = await connect(role, passwords.get(role), database);
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows;
      } finally {
        await client.end();
      }
    },
    session: (role) => connect(role, passwords.get(role), database),
    apply: async (applied) => {
      await superuser.query(renderPlan(applied, verifiers));
    },
    stop: async () => {
      await superuser.end();
      await server.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The plan of `services` as the tests apply it. */
export function testPlan(services: Parameters<typeof planAccess>[0]): Plan {
  return planAccess(services, { database, extensions: testExtensions });
}

function password(): string {
  return randomBytes(24).toString("hex");
}

/**
 * A port nobody listens on at this moment, and the next one neither. Below the ports the kernel gives to connections:
 * those are taken again at any moment.
 */
export async function freePort(): Promise<number> {
  for (let tries = 1; tries <= 100; tries++) {
    const port = randomInt(20_000, 32_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
  throw new Error("no free port");
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
