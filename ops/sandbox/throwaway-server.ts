import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { database } from "../../components/settings-rules";
import { startEmbeddedServer } from "./embedded-server";
import { freePort } from "./port";

/** An embedded PostgreSQL with an empty appdb, in a folder of its own, gone with stop(). */
export interface ThrowawayServer {
  readonly port: number;
  readonly database: string;
  /** As postgres, in appdb. */
  readonly superuser: Client;
  /** Another connection; end() it. */
  connect(role: string, password: string | undefined): Promise<Client>;
  stop(): Promise<void>;
}

/**
 * @param settings of the server, beside or in place of its own
 * @throws OperatorError where no server can run here
 */
export async function startThrowawayServer(settings: Readonly<Record<string, string>> = {}): Promise<ThrowawayServer> {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-throwaway-"));
  chmodSync(folder, 0o755); // the server's user is another one where root runs this
  const port = await freePort();
  const superuserPassword = randomBytes(24).toString("hex");
  const server = await startEmbeddedServer({
    dataDir: join(folder, "data"),
    port,
    superuserPassword,
    logFile: join(folder, "server.log"),
    settings: { max_connections: "200", fsync: "off", log_min_messages: "fatal", ...settings },
  }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  // A program that ends without stop() ends the server with it; see startEmbeddedServer.
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const connect = async (user: string, password: string | undefined, to: string) => {
    const client = new Client({ host: "127.0.0.1", port, user, password, database: to });
    client.on("error", () => undefined); // the server's stop ends it
    await client.connect();
    return client;
  };
  const maintenance = await connect("postgres", superuserPassword, "postgres");
  await maintenance.query(`CREATE DATABASE ${database}`);
  await maintenance.end();
  const superuser = await connect("postgres", superuserPassword, database);
  return {
    port,
    database,
    superuser,
    connect: (role, password) => connect(role, password, database),
    stop: async () => {
      await superuser.end();
      await server.stop();
      process.off("exit", remove);
      remove();
    },
  };
}
