import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import { BackupFailure } from "./failure";
import { failureOf, isEverybodys, shortened, type Dumping } from "./fault";
import { globals, type LogicalContents } from "./manifest";
import { linesAmong } from "./proof/dump-contents";
import type { AgentSettings } from "./settings";
import { within } from "./limits";
import { runTool } from "./tool";

export const globalsFile = "globals.sql";

/** For roles and their settings, a few kilobytes. */
const limitMinutes = 5;
/** More than anybody needs; pg_dump and pg_dumpall take a setting apart in a time that grows with the square of its length. */
const maxSettingBytes = 8192;
/** One is 133 characters. */
const maxVerifierBytes = 1000;

/**
 * Dumps the roles, with verifiers and settings, which the stack has as well: where what a role has set itself keeps them from being
 * dumped, the dumps count without.
 * @param to pg_dumpall's connection
 * @returns what is left out, as of a service
 * @throws BackupFailure where it is no role's doing
 */
export async function dumpGlobals(
  dumping: Dumping,
  to: string,
  { database, roles }: AgentSettings,
): Promise<LogicalContents["leftOut"]> {
  const { client, folder, options } = dumping;
  const file = join(folder, globalsFile);
  const make = async () => {
    await requireShortSettings(client, "setdatabase = 0");
    await requireShortPasswords(client);
    const args = ["--globals-only", "--no-password", `--database=${database}`, `--file=${file}`, `--dbname=${to}`];
    await within(limitMinutes, options, (limited) => runTool("pg_dumpall", args, limited));
    const created = new Map(roles.map((role) => [`CREATE ROLE ${role};`, role]));
    const found = await linesAmong([...created.keys()], createReadStream(file));
    const missing = [...created].filter(([line]) => !found.has(line)).map(([, role]) => role);
    if (missing.length > 0) throw new BackupFailure(`the globals lack ${shortened(missing)}`);
  };
  await client.query("SAVEPOINT globals");
  const failed = await make().then(() => undefined, failureOf);
  if (failed === undefined) return [];
  if (await isEverybodys(dumping, "globals")) throw failed;
  await rm(file, { force: true });
  options.say(`${globals} are left out: ${failed.message}`);
  return [{ service: globals, why: failed.message }];
}

/**
 * pg_dump writes what roles have set in its own database, whichever schemas it is asked for: of nobody there could be a dump.
 * @throws BackupFailure with the role
 */
export async function requireShortOwnSettings(client: Client): Promise<void> {
  await requireShortSettings(client, "setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())");
}

/** In the dump they would stand whole, of a hundred megabytes each. */
async function requireShortPasswords(client: Client): Promise<void> {
  const { rows } = await client.query<{ role: string; bytes: number }>(
    "SELECT oid::regrole AS role, octet_length(rolpassword) AS bytes FROM pg_authid WHERE octet_length(rolpassword) > $1 LIMIT 1",
    [maxVerifierBytes],
  );
  const [large] = rows;
  if (large !== undefined)
    throw new BackupFailure(`${large.role} has a password whose verifier is ${large.bytes} bytes`);
}

async function requireShortSettings(client: Client, where: string): Promise<void> {
  const { rows } = await client.query<{ role: string; bytes: number }>(
    // Much of one kind is stored in little.
    `SELECT role::regrole AS role, bytes
       FROM (SELECT setrole, CASE WHEN pg_column_size(setconfig) > $1 THEN pg_column_size(setconfig)
                                  ELSE octet_length(setconfig::text) END
               FROM pg_db_role_setting WHERE ${where}) AS s(role, bytes)
      WHERE bytes > $1 ORDER BY bytes DESC LIMIT 1`,
    [maxSettingBytes],
  );
  const [large] = rows;
  if (large !== undefined) throw new BackupFailure(`${large.role} has settings of ${large.bytes} bytes`);
}
