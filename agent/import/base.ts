import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { execa } from "execa";
import { escapeIdentifier } from "pg";
import { BackupFailure } from "../failure";
import { baseManifestFile } from "../physical";
import { lastWords } from "../limits";
import type { Throwaway } from "../restore/throwaway";
import { runTool, type ToolOptions } from "../tool";

/** The only major version whose data directory the servers' own programs start. */
const majorVersion = "16";

/**
 * Unpacks a base backup that was written to one tar (`pg_basebackup -D - -Ft -X fetch`).
 * @returns what is not known of it, in words
 * @throws BackupFailure where it is none, is not what its own manifest says, or has no WAL
 */
export async function unpackTar(data: string, contents: Readable, options: ToolOptions): Promise<readonly string[]> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  const { signal } = options;
  const args = ["--extract", "--file=-", `--directory=${data}`, "--no-same-owner"];
  const unpacked = await execa("tar", args, {
    input: contents,
    stdout: "ignore",
    reject: false,
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  signal?.throwIfAborted();
  if (unpacked.failed)
    throw new BackupFailure(`it cannot be unpacked: ${lastWords(unpacked.stderr) || unpacked.message}`);
  const version = await readFile(join(data, "PG_VERSION"), "utf8").catch(() => undefined);
  if (version === undefined) throw new BackupFailure("it has no PG_VERSION: it is no base backup");
  if (version.trim() !== majorVersion) {
    throw new BackupFailure(`it is of PostgreSQL ${version.trim()}, and only ${majorVersion} can be started here`);
  }
  if ((await readdir(join(data, "pg_tblspc"))).length > 0)
    throw new BackupFailure("it has tablespaces, whose files are in other tars");
  const segments = (await readdir(join(data, "pg_wal"))).filter((name) => /^[0-9A-F]{24}$/.test(name));
  if (segments.length === 0)
    throw new BackupFailure("it has no WAL, without which it is not consistent: it was made without -X fetch");
  const hasManifest = existsSync(join(data, baseManifestFile));
  if (hasManifest) await runTool("pg_verifybackup", ["--exit-on-error", "--quiet", data], options);
  // It is to end its recovery with the WAL it has, and follows nobody's settings.
  for (const name of ["standby.signal", "recovery.signal"]) await rm(join(data, name), { force: true });
  await writeFile(join(data, "postgresql.auto.conf"), "");
  return hasManifest ? [] : ["that its files are what the server had: it has no backup_manifest"];
}

/**
 * Lets the role in that dumps, which another server may not have, or not to read everything.
 * @throws BackupFailure where it has no such database
 */
export async function letDumpRoleIn(server: Throwaway, database: string, role: string): Promise<void> {
  const superuser = await server.connect("postgres", "postgres");
  try {
    const { rows } = await superuser.query<{ name: string }>(
      "SELECT datname AS name FROM pg_database WHERE NOT datistemplate ORDER BY 1",
    );
    const names = rows.map(({ name }) => name);
    if (!names.includes(database))
      throw new BackupFailure(`it has no database ${database}; it has ${names.join(", ")}`);
    const roles = await superuser.query("SELECT FROM pg_roles WHERE rolname = $1", [role]);
    const name = escapeIdentifier(role);
    if (roles.rowCount === 0) await superuser.query(`CREATE ROLE ${name}`);
    // A policy of an owner's hides no row from a dump.
    await superuser.query(`ALTER ROLE ${name} LOGIN BYPASSRLS; GRANT pg_read_all_data TO ${name}`);
    await superuser.query(`GRANT CONNECT ON DATABASE ${escapeIdentifier(database)} TO ${name}`);
  } finally {
    await superuser.end();
  }
}
