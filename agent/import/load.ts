import { createHash } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Transform, type Readable } from "node:stream";
import type { Client } from "pg";
import { planAccess } from "../../components/access/plan";
import { dumpRole, platformSchema } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import { globalsFile } from "../globals";
import { dumpInto } from "../logical";
import { globals, type LogicalContents } from "../manifest";
import { initialize, withServer, type Throwaway } from "../restore/throwaway";
import type { FoundServer } from "../server";
import type { AgentSettings } from "../settings";
import { filesOf } from "../store";
import type { ToolOptions } from "../tool";
import { letDumpRoleIn, unpackTar } from "./base";
import { piped, recognize } from "./format";
import { loadPlain } from "./plain";
import type { Loaded } from "./loaded";

/** Recovering what a base backup has of WAL. */
const startSeconds = 3600;

/**
 * Loads a file that somebody has made by hand into a server of its own, and dumps that as the agent does: with every row counted there
 * and in the dump. Whatever is in the file runs as that server's superuser: only where nothing else can be reached.
 * @param folder where server and dump are made
 * @returns what is in the dump, whose files are in `folder`/dump
 * @throws BackupFailure where it is not whole, or cannot be loaded
 */
export async function loadFile(
  file: Readable,
  folder: string,
  settings: AgentSettings,
  options: ToolOptions & { readonly say: (line: string) => void },
): Promise<Loaded> {
  const hash = createHash("sha256");
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const { format, contents } = await recognize(piped(file, counted));
  const data = join(folder, "data");
  const { database } = settings;
  const dump = async (server: Throwaway, unverified: readonly string[]): Promise<Loaded> => {
    await letDumpRoleIn(server, database, dumpRole);
    const superuser = await server.connect("postgres", database);
    const found = await survey(superuser, settings).finally(() => superuser.end());
    options.say(`${found.services.length} of ${settings.services.length} services are in it; they are dumped`);
    const { services, version, databaseBytes } = found;
    const source: FoundServer = {
      ...{ host: server.socket, role: "primary", version, systemIdentifier: "", timeline: 0 },
      ...{ lagSeconds: null, databaseBytes, clockAheadSeconds: 0 },
    };
    const made = await dumpInto(await dumpFolder(folder), source, { ...settings, services }, options);
    const logical = withAbsent(made.logical, settings.services);
    await rm(join(folder, "dump", globalsFile), { force: true });
    return {
      ...{ bytes, sha256: hash.digest("hex"), tool: made.tool, version, logical },
      files: await filesOf(join(folder, "dump")),
      unverified: [...unverified, ...found.unverified],
    };
  };
  if (format === "tar") {
    options.say("it is a base backup");
    const unverified = await unpackTar(data, contents, options);
    const own = { wal_level: "replica", hot_standby: "off" };
    return withServer(folder, own, options, (server) => dump(server, unverified), startSeconds);
  }
  options.say("it is SQL");
  await initialize(data, options);
  return withServer(folder, {}, options, async (server) => {
    await makeRoles(server, settings);
    const unverified = await loadPlain(server, database, contents, options);
    return dump(server, ["that its rows are those the database had: SQL has no checksums", ...unverified]);
  });
}

async function dumpFolder(folder: string): Promise<string> {
  const made = join(folder, "dump");
  await mkdir(made, { mode: 0o700 });
  return made;
}

/** The stack's roles, and an empty database. */
async function makeRoles(server: Throwaway, { database, registry }: AgentSettings): Promise<void> {
  // The plan needs a database to be applied in; the file wants to make schemas and extensions itself.
  const plan = planAccess(registry.services, { database: "roles", extensions: registry.extensions });
  const maker = await server.connect("postgres", "postgres");
  try {
    await maker.query(`CREATE DATABASE ${plan.database}`);
    await maker.query(`CREATE DATABASE "${database}" TEMPLATE template0`);
  } finally {
    await maker.end();
  }
  const superuser = await server.connect("postgres", plan.database);
  await superuser.query(renderPlan(plan, new Map())).finally(() => superuser.end());
}

interface Survey {
  readonly services: readonly string[];
  readonly version: string;
  readonly databaseBytes: number;
  readonly unverified: readonly string[];
}

/** What of the stack is there. */
async function survey(superuser: Client, { services, registry }: AgentSettings): Promise<Survey> {
  const { rows } = await superuser.query<{ version: string; bytes: number; schemas: string[] }>(
    `SELECT current_setting('server_version') AS version, pg_database_size(current_database())::float8 AS bytes,
            ARRAY(SELECT nspname::text FROM pg_namespace) AS schemas`,
  );
  const [row] = rows;
  if (row === undefined) throw new BackupFailure("the server says nothing of itself");
  const present = services.filter((code) => row.schemas.includes(code));
  if (present.length === 0) {
    throw new BackupFailure(`it has no schema of a service; expected are ${shortened(services)}`);
  }
  const version = row.version.split(" ")[0] ?? "";
  const others = await tablesOfNobody(
    superuser,
    registry.services.map(({ code }) => code),
  );
  return {
    ...{ services: present, version, databaseBytes: row.bytes },
    unverified: others.length === 0 ? [] : [`tables of no service, which no restore takes: ${shortened(others)}`],
  };
}

async function tablesOfNobody(superuser: Client, codes: readonly string[]): Promise<readonly string[]> {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND NOT n.nspname = ANY ($1) AND n.nspname !~ '^pg_'
        AND NOT n.nspname IN ('information_schema', '${platformSchema}') ORDER BY 1`,
    [codes],
  );
  return rows.map(({ name }) => name);
}

/** A service the file does not have is one a restore must not take for empty. */
function withAbsent(logical: LogicalContents | undefined, services: readonly string[]): LogicalContents {
  if (logical === undefined) throw new BackupFailure("it was not dumped");
  const known = [...logical.services, ...logical.leftOut.map(({ service }) => service)];
  const absent = services.filter((code) => !known.includes(code));
  return {
    ...logical,
    // Passwords and settings of roles are the stack's.
    roles: [],
    leftOut: [
      ...logical.leftOut.filter(({ service }) => service !== globals),
      ...absent.map((service) => ({ service, why: "it is not in the file" })),
    ],
  };
}
