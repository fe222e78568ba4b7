import { readFileSync } from "node:fs";
import { Client } from "pg";
import { BackupFailure, inALine } from "./failure";
import type { AgentSettings, Places } from "./settings";

/** A server of the platform as it is at this moment. */
export interface FoundServer {
  readonly host: string;
  readonly role: "primary" | "standby";
  /** `16.14` */
  readonly version: string;
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Of a standby, how much it has to replay; null where it does not stream. */
  readonly lagSeconds: number | null;
  /** Of the database's files. */
  readonly databaseBytes: number;
  /** How far this machine's clock is ahead of the server's, in seconds; negative where it is behind. */
  readonly clockAheadSeconds: number;
}

/**
 * A login as `app`, which reads everything and writes nothing: encrypted, verified, the password from the file.
 * @param host a server's name; or the folder of a socket, on which everybody is trusted
 */
export async function connectAsApp(host: string, settings: AgentSettings, places: Places): Promise<Client> {
  const client = new Client({
    host,
    port: 5432,
    user: "app",
    database: settings.database,
    application_name: "centraldb-backup",
    connectionTimeoutMillis: 10_000,
    ...(host.startsWith("/")
      ? {}
      : {
          password: passwordOf("app", places),
          ssl: { ca: readFileSync(`${places.configuration}/tls/authority.crt`, "utf8"), servername: host },
        }),
  });
  client.on("error", () => undefined); // a broken connection also rejects the query in progress
  await client.connect();
  return client;
}

function passwordOf(role: string, { configuration }: Places): string {
  const line = readFileSync(`${configuration}/pgpass`, "utf8")
    .split("\n")
    .find((one) => one.startsWith(`*:*:*:${role}:`));
  if (line === undefined) throw new BackupFailure(`${configuration}/pgpass has no password of ${role}: npm run up`);
  return line.slice(`*:*:*:${role}:`.length);
}

/** Both servers, those that answer. */
export async function findServers(settings: AgentSettings, places: Places): Promise<readonly FoundServer[]> {
  const found = await Promise.allSettled(settings.nodes.map((host) => ask(host, settings, places)));
  return found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

/** @throws BackupFailure where none is there, or two are */
export async function findPrimary(settings: AgentSettings, places: Places): Promise<FoundServer> {
  const tried = await Promise.allSettled(settings.nodes.map((host) => ask(host, settings, places)));
  const primaries = tried.flatMap((one) =>
    one.status === "fulfilled" && one.value.role === "primary" ? [one.value] : [],
  );
  const [primary] = primaries;
  if (primary !== undefined && primaries.length === 1) return primary;
  if (primaries.length > 1) throw new BackupFailure("both servers are primaries: writes go to two places");
  const why = tried.map((one, index) => {
    const host = settings.nodes[index] ?? "";
    return one.status === "fulfilled" ? `${host} is a standby` : `${host}: ${inALine(one.reason)}`;
  });
  throw new BackupFailure(`no primary answers: ${why.join("; ")}`);
}

const question = `
  SELECT pg_is_in_recovery() AS standby, current_setting('server_version') AS version,
         (SELECT system_identifier::text FROM pg_control_system()) AS identifier,
         (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
         (SELECT extract(epoch FROM clock_timestamp() - latest_end_time)::float8 FROM pg_stat_wal_receiver WHERE status = 'streaming') AS heard,
         CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
              ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END AS lag,
         pg_database_size(current_database())::float8 AS bytes, extract(epoch FROM clock_timestamp())::float8 AS clock`;

async function ask(host: string, settings: AgentSettings, places: Places): Promise<FoundServer> {
  const client = await connectAsApp(host, settings, places);
  try {
    const { rows } = await client.query<{
      standby: boolean;
      version: string;
      identifier: string;
      timeline: number;
      heard: number | null;
      lag: number | null;
      bytes: number;
      clock: number;
    }>(question);
    const [row] = rows;
    if (row === undefined) throw new BackupFailure(`${host} says nothing of itself`);
    return {
      host,
      role: row.standby ? "standby" : "primary",
      version: row.version.split(" ")[0] ?? "",
      systemIdentifier: row.identifier,
      timeline: row.timeline,
      lagSeconds: row.heard === null ? null : row.lag,
      databaseBytes: row.bytes,
      clockAheadSeconds: Date.now() / 1000 - row.clock,
    };
  } finally {
    await client.end();
  }
}
