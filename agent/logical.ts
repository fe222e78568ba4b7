import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BackupFailure } from "./failure";
import { failureOf, isAborted, isEverybodys, shortened, type Dumping } from "./fault";
import { dumpGlobals, requireShortOwnSettings } from "./globals";
import { maxLockWaitSeconds, unlessBlocked } from "./lock-watch";
import type { LogicalContents, Manifest } from "./manifest";
import { Moved, requireUnmoved, statesOf } from "./proof/moved";
import { prove, schemasIn, type Dumped, type Part } from "./proof/prove";
import { objectsOf } from "./proof/tables";
import { newRowKey } from "./proof/row-sum";
import { connectAsApp, type FoundServer } from "./server";
import type { AgentSettings } from "./settings";
import { inSnapshot, type Snapshot } from "./snapshot";
import { within } from "./limits";
import { runTool, type ToolOptions } from "./tool";

/** What a run of a kind contributes to its manifest. */
export interface Made extends Pick<Manifest, "wal" | "tool" | "logical"> {
  /** Seconds the tools took. */
  readonly toolSeconds: number;
}

/** As owners: no right of a service can keep it from a row. A lock that somebody holds on a table fails it after half a minute. */
const dumpOptions = [
  ...["--format=custom", "--no-large-objects", "--no-password"],
  `--lock-wait-timeout=${maxLockWaitSeconds}s`,
  // What a restore has kept of a service is in the backups of its time; see tablesOf.
  ...["before", "failed", "dropped"].map((word) => `--exclude-schema=*_${word}_????????t??????`),
];

/** A service that is altered is so for once. */
const attempts = 3;

/**
 * Dumps the database and the globals into `folder`, and proves it: the dump has every table of its own snapshot, each with exactly
 * the rows that were counted there. Where the whole cannot be dumped, because of what one service does, each service is dumped by
 * itself, of the same snapshot, and the one that cannot is left out and named.
 * @throws BackupFailure
 */
export async function dumpInto(
  folder: string,
  server: FoundServer,
  settings: AgentSettings,
  options: ToolOptions & { readonly say: (line: string) => void },
): Promise<Made> {
  for (let left = attempts; ; left--) {
    try {
      return await dumpOnce(folder, server, settings, options, left > 1);
    } catch (error) {
      if (!(error instanceof Moved) || left === 1) throw error;
      options.say(`${error.message}; again`);
      for (const name of await readdir(folder)) await rm(join(folder, name));
    }
  }
}

/** @param isTriedAgain where something has moved; else each service is dumped by itself, and what has moved is left out */
async function dumpOnce(
  folder: string,
  server: FoundServer,
  settings: AgentSettings,
  options: ToolOptions & { readonly say: (line: string) => void },
  isTriedAgain: boolean,
): Promise<Made> {
  const began = performance.now();
  return inSnapshot(server, settings, { folder, options }, async (snapshot) => {
    const { client, unfit, lsn } = snapshot;
    const moved = [...unfit.values()].find((why) => why instanceof Moved);
    if (moved !== undefined && isTriedAgain) throw moved;
    await requireShortOwnSettings(client);
    const to = `host=${server.host} user=app dbname=${settings.database}`;
    const rowKey = newRowKey();
    let proofSeconds = 0;
    const dump = async (part: Part): Promise<Dumped> => {
      const args = [...dumpOptions, ...part.options, `--snapshot=${snapshot.name}`, `--dbname=${to}`];
      // A service may have rows whose text is a thousand times as long as what is stored, or functions of which pg_dump reads for hours.
      return within(settings.dumpMinutes, options, async (limited) => {
        const schemas = schemasIn(part, settings);
        const before = await statesOf(client, schemas);
        const requireStill = async () => {
          const now = await connectAsApp(server.host, settings, options.places);
          requireUnmoved(before, await statesOf(now, schemas).finally(() => now.end()));
        };
        try {
          await unlessBlocked(server.host, settings, limited, (signal) =>
            runTool("pg_dump", [...args, `--file=${join(folder, part.file)}`], { ...options, signal }),
          );
          // What cannot be proven is left out like what cannot be dumped.
          const proofBegan = performance.now();
          const dumped = await prove(client, folder, part, settings, rowKey, limited).finally(() => {
            proofSeconds += (performance.now() - proofBegan) / 1000;
          });
          await requireStill();
          return dumped;
        } catch (error) {
          // That something has moved may be why.
          const moved = await requireStill().catch((reason: unknown) => reason);
          throw moved instanceof Moved ? moved : error;
        }
      });
    };
    const { dumped, leftOut: services } = await dumpAll({ snapshot, folder, settings, options, dump, isTriedAgain });
    const globalsLeftOut = await dumpGlobals({ client, folder, options }, to, settings);
    const leftOut = [...services, ...globalsLeftOut];
    const toolSeconds = (performance.now() - began) / 1000 - proofSeconds;
    const inside = settings.services.filter((code) => !leftOut.some(({ service }) => service === code));
    const logical: LogicalContents = {
      dumps: dumped.map(({ file, service }) => ({ file, service })),
      rowKey,
      objects: await objectsOf(client, inside),
      tables: Object.assign({}, ...dumped.map(({ contents }) => contents)) as LogicalContents["tables"],
      sequences: Object.assign({}, ...dumped.map(({ sequences }) => sequences)) as LogicalContents["sequences"],
      roles: globalsLeftOut.length === 0 ? settings.roles : [],
      services: inside,
      leftOut,
    };
    return {
      toolSeconds,
      tool: (await runTool("pg_dump", ["--version"], options)).trim(),
      wal: { timeline: server.timeline, start: lsn, stop: lsn },
      logical,
    };
  });
}

interface DumpAll extends Omit<Dumping, "client"> {
  readonly snapshot: Snapshot;
  readonly settings: AgentSettings;
  readonly dump: (part: Part) => Promise<Dumped>;
  readonly isTriedAgain: boolean;
}

async function dumpAll(all: DumpAll): Promise<{
  readonly dumped: readonly Dumped[];
  readonly leftOut: LogicalContents["leftOut"];
}> {
  const { snapshot, folder, settings, options, dump, isTriedAgain } = all;
  const { client, unfit } = snapshot;
  const { services, database } = settings;
  const contents = (isInside: (schema: string) => boolean) => ({
    tables: snapshot.tables.filter(({ schema }) => isInside(schema)),
    sequencesInSnapshot: snapshot.sequences.filter(({ schema }) => isInside(schema)),
  });
  await client.query("SAVEPOINT whole");
  const failedWhole =
    unfit.size > 0
      ? new BackupFailure(shortened([...unfit].map(([code, { message }]) => `${code}: ${message}`)))
      : await dump({ file: `${database}.dump`, service: null, ...contents(() => true), options: [] }).catch(failureOf);
  if (!(failedWhole instanceof BackupFailure)) return { dumped: [failedWhole], leftOut: [] };
  if (failedWhole instanceof Moved && isTriedAgain) throw failedWhole;
  // What ends the agent, or the server, is no service's doing.
  if (await isEverybodys({ client, folder, options }, "whole")) throw failedWhole;
  options.say(`${failedWhole.message}; each service by itself`);
  await rm(join(folder, `${database}.dump`), { force: true });
  const rest = await dump({
    file: `${database}.dump`,
    service: null,
    ...contents((schema) => !services.includes(schema)),
    options: services.map((code) => `--exclude-schema=${code}`),
  });
  const dumped: Dumped[] = [rest];
  const leftOut: { readonly service: string; readonly why: string }[] = [];
  const leaveOut = (service: string, why: string) => {
    leftOut.push({ service, why });
    options.say(`${service} is left out: ${why}`);
  };
  for (const service of services) {
    if (isAborted(options)) throw failedWhole;
    const why = unfit.get(service);
    if (why !== undefined) {
      leaveOut(service, why.message);
      continue;
    }
    await client.query("SAVEPOINT service");
    const file = `${database}-${service}.dump`;
    const own = contents((schema) => schema === service);
    const made = await dump({ file, service, ...own, options: [`--schema=${service}`] }).catch(failureOf);
    if (!(made instanceof BackupFailure)) {
      dumped.push(made);
      continue;
    }
    if (made instanceof Moved && isTriedAgain) throw made;
    if (await isEverybodys({ client, folder, options }, "service")) throw made;
    await rm(join(folder, file), { force: true });
    leaveOut(service, made.message);
  }
  if (leftOut.length === services.length) throw failedWhole;
  return { dumped, leftOut };
}
