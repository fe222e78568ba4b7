import { readFileSync } from "node:fs";
import { Client, DatabaseError } from "pg";

/**
 * Runs the SQL of standard input in one go on the primary among the servers of libpq's environment variables (PGHOST,
 * PGPORT with a comma between the ports, …). Exit status 1 and PostgreSQL's message, detail and hint when it fails.
 */
async function main(): Promise<void> {
  const client = await connectToPrimary();
  try {
    await client.query(readFileSync(0, "utf8"));
  } finally {
    await client.end();
  }
}

/** What libpq calls target_session_attrs=primary, which the driver does not know. */
async function connectToPrimary(): Promise<Client> {
  const failures: string[] = [];
  for (const port of (process.env["PGPORT"] ?? "5432").split(",")) {
    const client = new Client({
      port: Number(port),
      application_name: "centraldb platform SQL",
      connectionTimeoutMillis: 30_000,
    });
    client.on("error", () => undefined); // a broken connection also rejects the query in progress
    try {
      await client.connect();
      const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
      if (rows[0]?.standby === false) return client;
      failures.push(`port ${port}: a standby`);
    } catch (error) {
      failures.push(`port ${port}: ${error instanceof Error ? error.message || String(error) : String(error)}`);
    }
    await client.end().catch(() => undefined);
  }
  throw new Error(`no primary: ${failures.join("; ")}`);
}

main().catch((error: unknown) => {
  const lines =
    error instanceof DatabaseError
      ? [`${error.severity}: ${error.message}`, error.detail, error.hint, error.where].filter((line) => line)
      : [error instanceof Error ? error.message || String(error) : String(error)];
  process.stderr.write(`platform SQL: ${lines.join("\n  ")}\n`);
  process.exitCode = 1;
});
