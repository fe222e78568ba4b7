import type { Client } from "pg";
import { setAsideQuery, type SetAside } from "../components/access/set-aside";
import { BackupFailure } from "./failure";
import type { Dumping } from "./fault";
import { Moved } from "./proof/moved";
import type { Part } from "./proof/prove";
import { textSettings } from "./proof/table-contents";
import { sequencesOf, tablesOf, type DumpedSequence } from "./proof/tables";
import { lockSequences, lockTables, notLocked } from "./relation-locks";
import { connectAsApp, type FoundServer } from "./server";
import type { AgentSettings } from "./settings";

/** What a dump is made of. All its tables and sequences were locked before it was taken, and are. */
export interface Snapshot {
  /** A session in it, which reads rows as texts. */
  readonly client: Client;
  /** As pg_dump asks for it. */
  readonly name: string;
  /** Where the server's WAL was. */
  readonly lsn: string;
  readonly tables: Part["tables"];
  readonly sequences: readonly DumpedSequence[];
  /** Services of which there can be no dump, and why. */
  readonly unfit: ReadonlyMap<string, BackupFailure>;
}

/**
 * Locks what is to be dumped, takes a snapshot, and keeps both while `work` goes on.
 * @throws BackupFailure; Moved where something that is of no service was made meanwhile
 */
export async function inSnapshot<T>(
  server: FoundServer,
  settings: AgentSettings,
  { folder, options }: Omit<Dumping, "client">,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const holder = await connectAsApp(server.host, settings, options.places);
  const client = await connectAsApp(server.host, settings, options.places).catch(async (error: unknown) => {
    await holder.end();
    throw error;
  });
  // Counting would go on to the end of the last table.
  const end = () => Promise.all([client.end(), holder.end()]);
  const endAtOnce = () => void end();
  options.signal?.addEventListener("abort", endAtOnce);
  const limit = `statement_timeout = ${settings.dumpMinutes * 60_000}`;
  const { services } = settings;
  try {
    await Promise.all([client.query(`SET ${limit}`), holder.query(`SET ${limit}; BEGIN READ ONLY`)]);
    const listed = await tablesOf(client);
    await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${textSettings}`);
    const unfit = new Map([
      ...(await lockTables({ client, folder, options }, services, listed)),
      ...(await lockSequences({ client: holder, folder, options }, services)),
    ]);
    await client.query(`SET LOCAL ${limit}`);
    const [taken] = (
      await client.query<{ name: string; lsn: string }>(
        "SELECT pg_export_snapshot() AS name, pg_current_wal_lsn()::text AS lsn",
      )
    ).rows;
    if (taken === undefined) throw new BackupFailure("the server exports no snapshot");
    const tables = await tablesOf(client);
    const holders = await Promise.all([client, holder].map(processOf));
    for (const { schema, quoted } of await notLocked(client, holders, tables)) {
      if (unfit.has(schema)) continue;
      const made = new Moved(`${quoted} was made while the others were locked`);
      if (!services.includes(schema)) throw made;
      unfit.set(schema, made);
    }
    // What bears their name is half of a backup: a dump with it would be the newest of those that have the service.
    for (const { code, schema } of (await client.query<SetAside>(setAsideQuery)).rows) {
      const why = `it is being restored in its place, or was when that was killed; what it had is ${schema}`;
      unfit.set(code, new BackupFailure(why));
    }
    const done = await work({ client, ...taken, tables, sequences: await sequencesOf(client), unfit });
    await client.query("COMMIT");
    // Where its session was ended, the locks were gone.
    await holder.query("COMMIT");
    return done;
  } finally {
    options.signal?.removeEventListener("abort", endAtOnce);
    await end();
  }
}

/** The server's, of a session. */
async function processOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid ?? 0;
}
