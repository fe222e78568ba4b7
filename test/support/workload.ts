import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";

/**
 * A client of a service that never stops: inserts a token every 20 ms into the table of argv 3 and notes in the file of argv 4
 * what came of it, as lines of JSON. Connects by the URL of argv 2, again and again when the connection ends.
 */
const [, , url = "", table = "", file = ""] = process.argv;

export interface Noted {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Acknowledged by the server; undefined where it failed. */
  readonly token?: number;
  readonly error?: string;
}

const note = (what: Omit<Noted, "at">) => appendFileSync(file, `${JSON.stringify({ at: Date.now(), ...what })}\n`);

async function work(): Promise<void> {
  for (let token = 1; ;) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 1000 });
    client.on("error", () => undefined);
    try {
      await client.connect();
      for (; ; token++) {
        await client.query(`INSERT INTO ${table} VALUES ($1)`, [token]);
        note({ token });
        await sleep(20);
      }
    } catch (error) {
      note({ error: error instanceof Error ? error.message : String(error) });
      token++; // whether the last one is in is unknown
      await client.end().catch(() => undefined);
      await sleep(20);
    }
  }
}

void work();
