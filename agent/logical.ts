import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import { BackupFailure } from "./failure";
import type { LogicalContents, Manifest } from "./manifest";
import { comparedWithList, countRows, nameOf, type DumpedTable } from "./proof/dump-contents";
import { connectAsApp, type FoundServer } from "./server";
import type { AgentSettings } from "./settings";
import { runTool, settled, startTool, type ToolOptions } from "./tool";

export const dumpFile = "appdb.dump";
export const globalsFile = "globals.sql";

/** What a run of a kind contributes to its manifest. */
export interface Made extends Pick<Manifest, "wal" | "tool" | "logical"> {
  /** Seconds the tools took. */
  readonly toolSeconds: number;
}

/** As owners: no right of a service can keep it from a row. A lock that somebody holds on a table fails it after a minute. */
const dumpOptions = ["--format=custom", "--no-large-objects", "--lock-wait-timeout=60s", "--no-password"];

/**
 * Dumps the database and the globals into `folder`, and proves it: the dump has every table of its own snapshot, each with exactly
 * the rows that were counted there.
 * @throws BackupFailure
 */
export async function dumpInto(
  folder: string,
  server: FoundServer,
  settings: AgentSettings,
  options: ToolOptions,
): Promise<Made> {
  const began = Date.now();
  const client = await connectAsApp(server.host, settings, options.places);
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await client.query(
      "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; SET LOCAL search_path = pg_catalog",
    );
    const [exported] = (
      await client.query<{ snapshot: string; lsn: string }>(
        "SELECT pg_export_snapshot() AS snapshot, pg_current_wal_lsn()::text AS lsn",
      )
    ).rows;
    if (exported === undefined) throw new BackupFailure("the server exports no snapshot");
    const to = `host=${server.host} user=app dbname=${settings.database}`;
    const file = join(folder, dumpFile);
    // Counting is reading, and reads at the same time what the dump reads.
    const dumping = runTool(
      "pg_dump",
      [...dumpOptions, `--snapshot=${exported.snapshot}`, `--file=${file}`, `--dbname=${to}`],
      options,
    );
    const [tables] = await Promise.all([countTables(client), dumping]);
    await runTool(
      "pg_dumpall",
      [
        "--globals-only",
        "--no-password",
        `--database=${settings.database}`,
        `--file=${join(folder, globalsFile)}`,
        `--dbname=${to}`,
      ],
      options,
    );
    const toolSeconds = (Date.now() - began) / 1000;
    await client.query("COMMIT");
    return {
      toolSeconds,
      tool: (await runTool("pg_dump", ["--version"], options)).trim(),
      wal: { timeline: server.timeline, start: exported.lsn, stop: exported.lsn },
      logical: await prove(folder, tables, settings, options),
    };
  } finally {
    await client.end();
  }
}

/** What is in a dump: tables and their rows; the parts of a partitioned table are tables themselves. */
async function countTables(client: Client): Promise<readonly DumpedTable[]> {
  const { rows } = await client.query<Omit<DumpedTable, "rows"> & { readonly quoted: string }>(
    `SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner, format('%I.%I', n.nspname, c.relname) AS quoted
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY 1, 2`,
  );
  const tables: DumpedTable[] = [];
  for (const { quoted, ...table } of rows) {
    const counted = await client.query<{ count: string }>(`SELECT count(*) FROM ONLY ${quoted}`);
    tables.push({ ...table, rows: Number(counted.rows[0]?.count) });
  }
  return tables;
}

async function prove(
  folder: string,
  tables: readonly DumpedTable[],
  settings: AgentSettings,
  options: ToolOptions,
): Promise<LogicalContents> {
  const file = join(folder, dumpFile);
  const list = await runTool("pg_restore", ["--list", file], options);
  const wrong = comparedWithList(list, tables);
  if (wrong.length > 0) throw new BackupFailure(`the dump is not the database: ${wrong.slice(0, 5).join("; ")}`);

  // Every byte of it is read, and every row counted.
  const byName = new Map(tables.map((table) => [nameOf(table), table.rows]));
  const counts = await countDumped(file, options);
  const total = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
  const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b).join(",");
  if (sorted(counts) !== sorted([...byName.values()])) {
    throw new BackupFailure(
      `the dump has ${counts.length} tables and ${total(counts)} rows, its snapshot ${tables.length} and ${total([...byName.values()])}`,
    );
  }
  const globals = await readFile(join(folder, globalsFile), "utf8");
  const missing = settings.roles.filter((role) => !globals.includes(`\nCREATE ROLE ${role};\n`));
  if (missing.length > 0) throw new BackupFailure(`the globals lack ${missing.slice(0, 5).join(", ")}`);
  const schemas = new Set(list.split("\n").flatMap((line) => /^\d+; \d+ \d+ SCHEMA - (\S+) /.exec(line)?.[1] ?? []));
  const absent = settings.services.filter((code) => !schemas.has(code));
  if (absent.length > 0) throw new BackupFailure(`the dump lacks the schemas ${absent.join(", ")}`);
  return { rows: Object.fromEntries(byName), roles: settings.roles, services: settings.services };
}

async function countDumped(file: string, options: ToolOptions): Promise<readonly number[]> {
  const restoring = startTool("pg_restore", ["--data-only", "--file=-", file], options, { buffer: false });
  const [counts] = await Promise.all([countRows(restoring.stdout), settled("pg_restore", restoring)]);
  return counts;
}
