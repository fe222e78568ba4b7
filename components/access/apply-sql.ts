import { readFileSync } from "node:fs";
import { Client, DatabaseError } from "pg";

/**
 * Runs the SQL of standard input in one go, with libpq's environment variables (PGHOST, PGPORT, …). Exit status 1 and
 * PostgreSQL's message, detail and hint when it fails.
 */
async function main(): Promise<void> {
  const client = new Client({ application_name: "centraldb platform SQL", connectionTimeoutMillis: 30_000 });
  await client.connect();
  try {
    await client.query(readFileSync(0, "utf8"));
  } finally {
    await client.end();
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
