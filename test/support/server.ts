import { randomBytes } from "node:crypto";
import type { Client } from "pg";
import { planAccess } from "../../components/access/plan";
import { database } from "../../components/settings-rules";
import { rolesWithPassword, type Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import type { LoginTarget } from "../../ops/login-target";
import { startThrowawayServer } from "../../ops/sandbox/throwaway-server";

export { freePort } from "../../ops/sandbox/port";

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

export const testExtensions = ["citext"];

/** Starts a server with an empty appdb; the passwords of `plan`'s roles are made here. */
export async function startTestServer(
  plan: Plan,
  settings: Readonly<Record<string, string>> = {},
): Promise<TestServer> {
  const server = await startThrowawayServer(settings);
  const { port, superuser } = server;
  const passwords = new Map(rolesWithPassword(plan).map((role) => [role, password()]));
  const verifiers = new Map([...passwords].map(([role, secret]) => [role, scramVerifier(role, secret)]));
  return {
    host: "127.0.0.1",
    port,
    database,
    passwords,
    superuser,
    as: async (role, sql) => {
      const client = await server.connect(role, passwords.get(role));
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows;
      } finally {
        await client.end();
      }
    },
    session: (role) => server.connect(role, passwords.get(role)),
    apply: async (applied) => {
      try {
        await superuser.query(renderPlan(applied, verifiers));
      } catch (error) {
        // What fails must not be why all others fail.
        await superuser.query("ROLLBACK");
        throw error;
      }
    },
    stop: () => server.stop(),
  };
}

/** The plan of `services` as the tests apply it. */
export function testPlan(services: Parameters<typeof planAccess>[0]): Plan {
  return planAccess(services, { database, extensions: testExtensions });
}

function password(): string {
  return randomBytes(24).toString("hex");
}
