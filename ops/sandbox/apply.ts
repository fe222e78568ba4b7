import { Client, DatabaseError } from "pg";
import { endSessions } from "../../components/access/end-sessions";
import { frozenRoles, platformRole, rolesWithPassword, type Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import { testEffect, type EffectReport } from "../effect-test/effect-test";
import { OperatorError } from "../operator-error";
import { passwordOf, type Passwords } from "./credentials";

/** Makes the database where it is missing and brings the plan into it. Returns the server's version, e.g. `16.14`. */
export async function applyPlan(
  plan: Plan,
  port: number,
  passwords: Passwords,
  report: (line: string) => void,
): Promise<string> {
  await createDatabase(plan, port, passwords);
  return asSuperuser(port, passwords, plan.database, async (superuser) => {
    const verifiers = rolesWithPassword(plan).map(
      (role) => [role, scramVerifier(role, passwordOf(passwords, role))] as const,
    );
    await superuser.query(renderPlan(plan, new Map(verifiers))).catch((error: unknown) => {
      if (!(error instanceof DatabaseError)) throw error;
      throw new OperatorError(
        `the plan cannot be applied, nothing was changed: ${error.message} ${error.hint ?? ""}`.trim(),
      );
    });
    await endSessions(superuser, frozenRoles(plan));
    // A run that was killed during its test left it set.
    await superuser.query(`ALTER DATABASE ${plan.database} RESET log_min_messages`);

    for (const schema of await schemasNotPlanned(superuser, plan)) {
      report(
        `warning: no service of the registry has the schema ${schema}: its data are kept, its roles cannot connect`,
      );
    }
    const { rows } = await superuser.query<{ server_version: string }>("SHOW server_version");
    return rows[0]?.server_version ?? "16";
  });
}

/** Tries on the primary what the plan allows and what it does not. */
export async function testPlanEffect(plan: Plan, port: number, passwords: Passwords): Promise<EffectReport> {
  const target = { host: "127.0.0.1", port, database: plan.database, passwords };
  return asSuperuser(port, passwords, plan.database, (superuser) =>
    withoutErrorLog(superuser, plan.database, () => testEffect(plan, target, superuser)),
  );
}

/** Work on a connection of the superuser that is ended however the work ends. */
export async function asSuperuser<T>(
  port: number,
  passwords: Passwords,
  to: string,
  work: (superuser: Client) => Promise<T>,
): Promise<T> {
  const superuser = await connect(port, passwords, to);
  try {
    return await work(superuser);
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
  await asSuperuser(port, passwords, "postgres", async (maintenance) => {
    const { rowCount } = await maintenance.query("SELECT FROM pg_database WHERE datname = $1", [plan.database]);
    if (rowCount === 0) await maintenance.query(`CREATE DATABASE ${plan.database}`);
  });
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
