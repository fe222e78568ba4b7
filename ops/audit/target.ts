import { join } from "node:path";
import { Client, DatabaseError } from "pg";
import type { Connection, Endpoints } from "../../components/access/endpoints";
import { superuserRole } from "../../components/access/plan-items";
import { database } from "../../components/settings-rules";
import { printable } from "../../services/printable";
import type { LoginTarget } from "../login-target";
import { OperatorError } from "../operator-error";
import { stackOutputs } from "../pulumi-cli";
import { readPasswords, readPorts } from "../sandbox/credentials";
import { sandboxFiles } from "../sandbox/sandbox";
import { projectFolder, type Stack } from "../stack-file";

/** Where to look, and with which passwords to log in. */
export interface AuditTarget {
  /** In words, for a heading. */
  readonly name: string;
  /** A connection of the superuser that is not open yet. */
  readonly superuser: Client;
  /** undefined where nobody's password is known. */
  readonly logins: LoginTarget | undefined;
}

/** The server of a stack, by its outputs. */
export function targetOfStack({ name }: Stack): AuditTarget {
  const outputs = stackOutputs(name) as {
    readonly endpoints: Endpoints;
    readonly connections: Readonly<Record<string, Readonly<Record<string, Connection>>>>;
    readonly caCertificate?: string;
    readonly superuserPassword: string;
  };
  const connections = Object.values(outputs.connections).flatMap((tiers) => Object.values(tiers));
  const { host, port } = outputs.endpoints.rw.host;
  const encrypted = outputs.endpoints.sslmode === "verify-full" && outputs.caCertificate !== undefined;
  return target(`stack ${name}`, {
    ...{ host, port, database },
    passwords: new Map([
      ...connections.map(({ user, password }) => [user, password] as const),
      [superuserRole, outputs.superuserPassword] as const,
    ]),
    ...(encrypted ? { authority: outputs.caCertificate } : {}),
  });
}

/** The database of `npm start`. */
export function targetOfSandbox(folder: string | undefined): AuditTarget {
  const file = sandboxFiles(folder ?? join(projectFolder, ".sandbox")).credentials;
  const ports = readPorts(file);
  if (ports === undefined) throw new OperatorError(`${file} is not there: npm start makes it`);
  return target("the sandbox", { host: "127.0.0.1", port: ports.primary, database, passwords: readPasswords(file) });
}

function target(name: string, logins: LoginTarget): AuditTarget {
  const superuser = new Client({
    host: logins.host,
    port: logins.port,
    database: logins.database,
    user: superuserRole,
    password: logins.passwords.get(superuserRole),
    connectionTimeoutMillis: 10_000,
    ...(logins.authority === undefined ? {} : { ssl: { ca: logins.authority } }),
  });
  return { name, superuser, logins };
}

/**
 * Any server, by the URL of a superuser; its password may come from PGPASSWORD, which no process list shows.
 * @throws OperatorError for what is no such URL
 */
export function targetOfUrl(text: string): AuditTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["postgresql:", "postgres:"].includes(url.protocol) || url.hostname === "") {
    throw new OperatorError(
      "--url: expected one like postgresql://postgres@127.0.0.1:5432/appdb?sslmode=verify-full&sslrootcert=FILE, with the password in PGPASSWORD",
    );
  }
  return {
    name: printable(`${url.hostname}:${url.port || "5432"}${url.pathname}`),
    superuser: new Client({ connectionString: text, connectionTimeoutMillis: 10_000 }),
    logins: undefined,
  };
}

/**
 * Opens the superuser's connection and looks whether it is one, in the plan's database.
 * @throws OperatorError with the cure
 */
export async function open({ name, superuser }: AuditTarget): Promise<void> {
  superuser.on("error", () => undefined); // a broken connection also rejects the query in progress
  try {
    await superuser.connect();
    const { rows } = await superuser.query<{ superuser: boolean; database: string; version: number }>(
      `SELECT rolsuper AS superuser, current_database() AS database, current_setting('server_version_num')::int / 10000 AS version
         FROM pg_roles WHERE rolname = current_user`,
    );
    const [row] = rows;
    if (row?.superuser !== true)
      throw new OperatorError(`${name}: only a superuser sees everything, and this login is none`);
    if (row.database !== database) {
      throw new OperatorError(
        `${name}: the platform's database is ${database}, and this is ${printable(row.database)}`,
      );
    }
    if (row.version !== 16) throw new OperatorError(`${name}: expected PostgreSQL 16, found ${row.version}`);
  } catch (error) {
    await superuser.end().catch(() => undefined);
    if (error instanceof OperatorError) throw error;
    const isAnswer = error instanceof DatabaseError || (error instanceof Error && "code" in error);
    if (!isAnswer) throw error;
    const said = error instanceof AggregateError ? error.errors.map(String).join("; ") : error.message;
    throw new OperatorError(`${name} does not let the superuser in: ${printable(said)}`);
  }
}
