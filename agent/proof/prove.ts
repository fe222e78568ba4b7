import { join } from "node:path";
import type { Client } from "pg";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import type { Dump, LogicalContents } from "../manifest";
import type { AgentSettings } from "../settings";
import { runTool, settled, startTool, type ToolOptions } from "../tool";
import {
  byRoot,
  comparedWithList,
  comparedContents,
  comparedSequences,
  readData,
  type DumpedData,
  type DumpedTable,
} from "./dump-contents";
import { requireFewDefinitions } from "./definitions";
import type { RowKey } from "./row-sum";
import { contentsOf } from "./table-contents";
import type { DumpedSequence, TableParts } from "./tables";

/** One file of pg_dump, and the tables that must be in it. */
export interface Part extends Dump {
  readonly tables: readonly (DumpedTable & TableParts)[];
  readonly sequencesInSnapshot: readonly DumpedSequence[];
  /** pg_dump's. */
  readonly options: readonly string[];
}

/** One that was proven. */
export interface Dumped extends Part {
  readonly contents: LogicalContents["tables"];
  readonly sequences: LogicalContents["sequences"];
}

/**
 * Reads the dump to its end, and at the same time every row of its snapshot.
 * @throws BackupFailure where they differ
 */
export async function prove(
  client: Client,
  folder: string,
  part: Part,
  settings: AgentSettings,
  key: RowKey,
  options: ToolOptions,
): Promise<Dumped> {
  const file = join(folder, part.file);
  await requireFewDefinitions(file, options);
  const list = await runTool("pg_restore", ["--list", file], options);
  const wrong = comparedWithList(list, part.tables);
  if (wrong.length > 0) throw new BackupFailure(`${part.file} is not the database: ${shortened(wrong)}`);
  // Neither is left alone: the session is needed for the next part, the file is removed where it fails.
  const [contents, dumped] = await Promise.allSettled([
    contentsOf(client, part.tables, key, options.signal),
    readDump(file, key, options),
  ]);
  if (dumped.status === "rejected") throw dumped.reason;
  if (contents.status === "rejected") throw contents.reason;
  const roots = new Map(part.tables.map(({ quoted, root }) => [quoted, root]));
  const { contents: inDump, sequences } = dumped.value;
  const differing = [
    ...comparedContents(byRoot(inDump, roots), byRoot(contents.value, roots)),
    ...comparedSequences(
      Object.keys(sequences),
      part.sequencesInSnapshot.map(({ quoted }) => quoted),
    ),
  ];
  if (differing.length > 0) throw new BackupFailure(`${part.file} is not the database: ${shortened(differing)}`);
  const schemas = new Set(list.split("\n").flatMap((line) => /^\d+; \d+ \d+ SCHEMA - (\S+) /.exec(line)?.[1] ?? []));
  const absent = schemasIn(part, settings).filter((code) => !schemas.has(code));
  if (absent.length > 0) throw new BackupFailure(`${part.file} lacks the schemas ${absent.join(", ")}`);
  const contentsWithParts = part.tables.map(({ quoted, columns, constraints, indexes, triggers }) => {
    const { rows: counts = NaN, hash = "" } = contents.value.get(quoted) ?? {};
    return [quoted, { rows: counts, hash, columns, constraints, indexes, triggers }] as const;
  });
  return { ...part, contents: Object.fromEntries(contentsWithParts), sequences };
}

/** The services' schemas that must be in a part: all of them in the whole, none in what is left beside single ones. */
export function schemasIn({ service, options }: Part, { services }: AgentSettings): readonly string[] {
  if (service !== null) return [service];
  return options.length === 0 ? services : [];
}

async function readDump(file: string, key: RowKey, options: ToolOptions): Promise<DumpedData> {
  const restoring = startTool("pg_restore", ["--data-only", "--file=-", file], options, { buffer: false });
  const [data] = await Promise.all([readData(restoring.stdout, key), settled("pg_restore", restoring)]);
  return data;
}
