import { Client, DatabaseError, type ClientConfig } from "pg";
import { forgetLibpqVariables } from "../libpq-variables";
import { printable } from "../../../services/printable";

/** One server, asked over TCP; end() its client. */
export interface Server {
  readonly client: Client;
  readonly port: string;
  /** undefined where it does not answer. */
  readonly standby: boolean | undefined;
  /** Whether nobody listens there, or nobody is let in yet. */
  readonly down: boolean;
  /** Why it cannot be the primary. */
  readonly why: string;
}

/** What every client of a job has in common: libpq's variables, and the server verified with CA_CERTIFICATE. */
export function clientConfig(port: string): ClientConfig {
  return {
    port: Number(port),
    ssl: { ca: process.env["CA_CERTIFICATE"] ?? "" },
    application_name: "centraldb",
    connectionTimeoutMillis: 30_000,
  };
}

/** Connects to the servers of libpq's environment variables (PGHOST, PGPORT with a comma between the ports, …). */
export function connectServers(): Promise<readonly Server[]> {
  return Promise.all((process.env["PGPORT"] ?? "5432").split(",").map(connect));
}

/** @throws Error with what each of them says, where none is the primary */
export function primaryOf(servers: readonly Server[]): Server {
  const primary = servers.find(({ standby }) => standby === false);
  if (primary === undefined) throw new Error(`no primary: ${servers.map(({ why }) => why).join("; ")}`);
  return primary;
}

async function connect(port: string): Promise<Server> {
  const client = new Client(clientConfig(port));
  client.on("error", () => undefined); // a broken connection also rejects the query in progress
  try {
    await client.connect();
    const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
    return { client, port, standby: rows[0]?.standby, down: false, why: `port ${port}: a standby` };
  } catch (error) {
    const why = error instanceof Error ? error.message || String(error) : String(error);
    const down = ["ECONNREFUSED", "57P03"].includes((error as { readonly code?: string }).code ?? "");
    return { client, port, standby: undefined, down, why: `port ${port}: ${why}` };
  }
}

/** Runs a job on the servers: exit status 1 and PostgreSQL's message, detail and hint when it fails. */
export function runOnServers(title: string, job: (servers: readonly Server[]) => Promise<void>): void {
  const run = async () => {
    forgetLibpqVariables(process.env, ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"]);
    const servers = await connectServers();
    try {
      await job(servers);
    } finally {
      await Promise.all(servers.map(({ client }) => client.end().catch(() => undefined)));
    }
  };
  run().catch((error: unknown) => {
    const lines =
      error instanceof DatabaseError
        ? [`${error.severity}: ${error.message}`, error.detail, error.hint, error.where].filter((line) => line)
        : [error instanceof Error ? error.message || String(error) : String(error)];
    // A service's owner chooses the names in it.
    const text = lines.flatMap((line) => line?.split("\n") ?? []).map(printable);
    process.stderr.write(`${title}: ${text.join("\n  ")}\n`);
    process.exitCode = 1;
  });
}
