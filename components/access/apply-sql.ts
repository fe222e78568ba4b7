import { readFileSync } from "node:fs";
import { Client, DatabaseError } from "pg";
import { endSessions } from "./end-sessions";

/**
 * Runs the SQL of standard input in one go on the primary among the servers of libpq's environment variables (PGHOST,
 * PGPORT with a comma between the ports, …), verified with CA_CERTIFICATE, then ends the sessions of the roles in END_SESSIONS_OF on both. Exit status 1
 * and PostgreSQL's message, detail and hint when it fails.
 */
async function main(): Promise<void> {
  const roles = (process.env["END_SESSIONS_OF"] ?? "").split(" ").filter(Boolean);
  const servers = await Promise.all((process.env["PGPORT"] ?? "5432").split(",").map(connect));
  try {
    const primary = servers.find(({ standby }) => standby === false);
    if (primary === undefined) throw new Error(`no primary: ${servers.map(({ why }) => why).join("; ")}`);
    await primary.client.query(readFileSync(0, "utf8"));
    if (roles.length === 0) return;
    for (const { client, port, standby, down, why } of servers) {
      if (down) continue; // and has no sessions
      if (standby === undefined)
        throw new Error(`sessions of frozen services may go on where nobody can be asked: ${why}`);
      const ended = await endSessions(client, roles);
      if (ended > 0) process.stdout.write(`port ${port}: ended ${ended} sessions of frozen services\n`);
    }
  } finally {
    await Promise.all(servers.map(({ client }) => client.end().catch(() => undefined)));
  }
}

interface Server {
  readonly client: Client;
  readonly port: string;
  /** undefined where it does not answer. */
  readonly standby: boolean | undefined;
  /** Whether nobody listens there, or nobody is let in yet. */
  readonly down: boolean;
  /** Why it cannot be the primary. */
  readonly why: string;
}

async function connect(port: string): Promise<Server> {
  const client = new Client({
    port: Number(port),
    ssl: { ca: process.env["CA_CERTIFICATE"] ?? "" },
    application_name: "centraldb platform SQL",
    connectionTimeoutMillis: 30_000,
  });
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

main().catch((error: unknown) => {
  const lines =
    error instanceof DatabaseError
      ? [`${error.severity}: ${error.message}`, error.detail, error.hint, error.where].filter((line) => line)
      : [error instanceof Error ? error.message || String(error) : String(error)];
  process.stderr.write(`platform SQL: ${lines.join("\n  ")}\n`);
  process.exitCode = 1;
});
