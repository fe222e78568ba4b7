import { createHash } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Transform, type Readable } from "node:stream";
import type { Client } from "pg";
import { planAccess } from "../../components/access/plan";
import { dumpRole, platformSchema } from "../../components/access/plan-items";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import { globalsFile } from "../globals";
import { dumpInto } from "../logical";
import { globals, type LogicalContents } from "../manifest";
import { withServer, type Throwaway } from "../restore/throwaway";
import type { FoundServer } from "../server";
import type { AgentSettings } from "../settings";
import { filesOf } from "../store";
import type { ToolOptions } from "../tool";
import { readArchive, restoreArchive } from "./archive";
import { letDumpRoleIn, unpackTar } from "./base";
import { piped, recognize } from "./format";
import type { Loaded } from "./loaded";
import { loadParts, runSql } from "./plain";
import { splitPlain, type Trust } from "./split";

const noChecksums = "that its rows are those the database had: a dump has no checksums";

/** Recovering what a base backup has of WAL. */
const startSeconds = 3600;

/** What of the stack is in a server. */
interface Present {
  readonly services: readonly string[];
  readonly leftOut: LogicalContents["leftOut"];
  /** What of it nobody can know, in words. */
  readonly unverified: readonly string[];
}

/**
 * Loads a file that somebody has made by hand into a server of its own, and dumps that as the agent does: with every row counted there
 * and in the dump. SQL runs as the owners of the services whose it is; a base backup has roles of its own: only where nothing else can
 * be reached.
 * @param folder where server and dump are made
 * @returns what is in the dump, whose files are in `folder`/dump
 * @throws BackupFailure where it is not whole, or cannot be loaded
 */
export async function loadFile(
  file: Readable,
  folder: string,
  settings: AgentSettings,
  options: ToolOptions & Trust & { readonly say: (line: string) => void },
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
  const { database, registry } = settings;
  const dump = async (server: Throwaway, { services, leftOut, unverified }: Present): Promise<Loaded> => {
    options.say(`${services.length} of ${settings.services.length} services are in it; they are dumped`);
    const { version, databaseBytes } = await describe(server, database);
    const source: FoundServer = {
      ...{ host: server.socket, role: "primary", version, systemIdentifier: "", timeline: 0 },
      ...{ lagSeconds: null, databaseBytes, clockAheadSeconds: 0 },
    };
    const made = await dumpInto(await dumpFolder(folder), source, { ...settings, services }, options);
    const logical = withAbsent(made.logical, leftOut, settings.services);
    await rm(join(folder, "dump", globalsFile), { force: true });
    return {
      ...{ bytes, sha256: hash.digest("hex"), tool: made.tool, version, logical, unverified },
      files: await filesOf(join(folder, "dump")),
    };
  };
  if (format === "tar") {
    options.say("it is a base backup");
    const unverified = await unpackTar(join(folder, "data"), contents, options);
    const own = { wal_level: "replica", hot_standby: "off" };
    const work = async (server: Throwaway) => {
      await letDumpRoleIn(server, database, dumpRole);
      const { services, others } = await survey(server, settings);
      return dump(server, { services, leftOut: [], unverified: [...unverified, ...others] });
    };
    return withServer(folder, own, options, work, startSeconds);
  }
  const isArchive = format === "custom";
  options.say(isArchive ? "it is pg_dump's custom format" : "it is SQL");
  const plan = planAccess(registry.services, { database, extensions: registry.extensions });
  const partsFolder = join(folder, "parts");
  const split = isArchive ? readArchive : splitPlain;
  const { parts, incomplete, unverified } = await split(contents, partsFolder, plan, options);
  if (parts.size === 0) {
    const some = incomplete.length === 0 ? "" : `, only something of ${incomplete.join(", ")}`;
    throw new BackupFailure(`it has no schema of a service${some}; expected are ${shortened(settings.services)}`);
  }
  const loadOne = isArchive ? restoreArchive : runSql;
  return loadParts(folder, plan, parts, settings.dumpMinutes, options, loadOne, async (server, failed) => {
    // As large as the file, and what comes needs room.
    await rm(partsFolder, { recursive: true });
    failed.forEach(({ service, why }) => options.say(`${service} is left out: ${why}`));
    const isFailed = (code: string) => failed.some(({ service }) => service === code);
    return dump(server, {
      services: settings.services.filter((code) => parts.has(code) && !isFailed(code)),
      leftOut: [...failed, ...incomplete.map((service) => ({ service, why: "only something of it is in the file" }))],
      unverified: [noChecksums, ...unverified],
    });
  });
}

async function dumpFolder(folder: string): Promise<string> {
  const made = join(folder, "dump");
  await mkdir(made, { mode: 0o700 });
  return made;
}

async function describe(
  server: Throwaway,
  database: string,
): Promise<{ readonly version: string; readonly databaseBytes: number }> {
  const superuser = await server.connect("postgres", database);
  const { rows } = await superuser
    .query<{ version: string; bytes: number }>(
      "SELECT current_setting('server_version') AS version, pg_database_size(current_database())::float8 AS bytes",
    )
    .finally(() => superuser.end());
  const [row] = rows;
  if (row === undefined) throw new BackupFailure("the server says nothing of itself");
  return { version: row.version.split(" ")[0] ?? "", databaseBytes: row.bytes };
}

/** What of the stack a base backup has, and what else, in words. */
async function survey(
  server: Throwaway,
  { database, services, registry }: AgentSettings,
): Promise<{ readonly services: readonly string[]; readonly others: readonly string[] }> {
  const superuser = await server.connect("postgres", database);
  try {
    const { rows } = await superuser.query<{ name: string }>("SELECT nspname::text AS name FROM pg_namespace");
    const present = services.filter((code) => rows.some(({ name }) => name === code));
    if (present.length === 0)
      throw new BackupFailure(`it has no schema of a service; expected are ${shortened(services)}`);
    const codes = registry.services.map(({ code }) => code);
    const others = await tablesOfNobody(superuser, codes);
    return {
      services: present,
      others: others.length === 0 ? [] : [`tables of no service, which no restore takes: ${shortened(others)}`],
    };
  } finally {
    await superuser.end();
  }
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
function withAbsent(
  logical: LogicalContents | undefined,
  failed: LogicalContents["leftOut"],
  services: readonly string[],
): LogicalContents {
  if (logical === undefined) throw new BackupFailure("it was not dumped");
  const leftOut = [...failed, ...logical.leftOut.filter(({ service }) => service !== globals)];
  const known = [...logical.services, ...leftOut.map(({ service }) => service)];
  const absent = services.filter((code) => !known.includes(code));
  return {
    ...logical,
    // Passwords and settings of roles are the stack's.
    roles: [],
    leftOut: [...leftOut, ...absent.map((service) => ({ service, why: "it is not in the file" }))],
  };
}
