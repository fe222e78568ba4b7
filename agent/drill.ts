import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { planAccess } from "../components/access/plan";
import type { Plan } from "../components/access/plan-items";
import { renderPlan } from "../components/access/sql";
import { audit } from "../ops/audit/audit";
import { describeFinding } from "../ops/audit/finding";
import type { Client } from "pg";
import { fetchWalFile } from "../components/backup/agent-file";
import { BackupFailure, inALine } from "./failure";
import type { LogicalContents } from "./manifest";
import { tablesOf } from "./proof/tables";
import { unpackBase } from "./restore/base";
import { differencesOf, readTables } from "./restore/compare";
import { ServerTaken } from "./restore/owner-login";
import { restoreServices } from "./restore/services";
import { initialize, withServer, type Throwaway } from "./restore/throwaway";
import type { AgentSettings } from "./settings";
import { differences, type Stored } from "./store";
import { within } from "./limits";
import type { ToolOptions } from "./tool";
import { receivedAt, type Stretch } from "./wal-archive";

/** What a drill has found of one backup. */
export interface DrillResult {
  readonly backup: string;
  /** Empty where it is what it was: each a sentence. */
  readonly wrong: readonly string[];
  /** From the empty disk to the audit of what is restored: the recovery time. */
  readonly seconds: number;
  /** Of a physical one: from the last WAL that was received to now; what a loss of both servers would cost. */
  readonly lostSeconds?: number;
}

export interface DrillOptions extends ToolOptions {
  /** Where a throwaway server is made; what is in it is deleted. */
  readonly scratch: string;
  /** Progress, a line each. */
  readonly say: (line: string) => void;
}

/** Only what the agent reads of its settings: no address, no login. */
type DrillSettings = Pick<AgentSettings, "database" | "registry" | "dumpMinutes">;

/**
 * Restores a logical backup into a server of its own, and compares it: every row, every value, sequences, how many constraints,
 * indexes and triggers a table has, and by the audit who may do what. Nothing of it is kept.
 * @throws BackupFailure where no server can be made
 */
export async function drillLogical(
  backup: Stored,
  settings: DrillSettings,
  options: DrillOptions,
): Promise<DrillResult> {
  const { logical } = backup.manifest;
  if (logical === undefined) throw new BackupFailure(`${backup.id} is no dump`);
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const flaws = await differences(backup, options.signal);
  if (flaws.length > 0) return { backup: backup.id, wrong: flaws, seconds: seconds() };
  const plan = planOf(settings);
  // Where nothing ends a service's code, the server is ended, and the others are restored in another.
  const restore = async (without: readonly string[]): Promise<readonly string[]> => {
    const restoring = inScratch(options.scratch, async (folder) => {
      await initialize(join(folder, "data"), options);
      return withServer(folder, {}, options, (server) =>
        restoreAndCompare(server, backup, logical, { ...settings, plan, without }, options),
      );
    });
    return restoring.catch(async (error: unknown) => {
      if (!(error instanceof ServerTaken) || without.includes(error.service)) throw error;
      return [error.message, ...(await restore([...without, error.service]))];
    });
  };
  return { backup: backup.id, wrong: await restore([]), seconds: seconds() };
}

async function restoreAndCompare(
  server: Throwaway,
  backup: Stored,
  logical: LogicalContents,
  { plan, dumpMinutes, without }: DrillSettings & { readonly plan: Plan; readonly without: readonly string[] },
  options: DrillOptions,
): Promise<readonly string[]> {
  const postgres = await server.connect("postgres", "postgres");
  await postgres.query(`CREATE DATABASE "${plan.database}"`);
  await postgres.end();
  await apply(server, plan);
  const known = plan.services.map(({ code }) => code);
  const inside = logical.services.filter((code) => known.includes(code) && !without.includes(code));
  const dumps = logical.dumps.map(({ file, service }) => ({
    ...{ file, service },
    services: service === null ? withoutOwnDump(inside, logical) : inside.filter((code) => code === service),
  }));
  const failed = await restoreServices(server, plan, backup.folder, dumps, dumpMinutes, options);
  options.say(`${inside.length - failed.length} of ${inside.length} services are restored`);
  await apply(server, plan);

  const differing = await reading(server, plan.database, dumpMinutes, options, (reader, signal) =>
    differencesOf(reader, logical, inside, dumpMinutes, signal),
  );
  const superuser = await server.connect("postgres", plan.database);
  const findings = await audit(plan, superuser, undefined).finally(() => superuser.end());
  const absent = known.filter(
    (code) => ![...logical.services, ...logical.leftOut.map(({ service }) => service)].includes(code),
  );
  return [
    ...logical.leftOut.map(({ service, why }) => `it has no ${service}: ${why}`),
    ...absent.map((code) => `it has no ${code}, which was no service then`),
    ...failed.map(({ service, why }) => `${service} cannot be restored: ${why}`),
    ...differing,
    ...findings.map(describeFinding),
  ];
}

/** A recovery reads and replays no faster than the servers wrote, and may have a week of it to do. */
const recoveryHours = 12;

/**
 * Recovers a base backup with all WAL that was received after it, in a server of its own; reads every row of it, which proves the
 * checksums of their pages, and asks the audit who may do what.
 * @throws BackupFailure where no server can be made
 */
export async function drillPhysical(
  backup: Stored,
  stretch: Stretch | undefined,
  settings: DrillSettings,
  options: DrillOptions,
): Promise<DrillResult> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const flaws = [
    ...(await differences(backup, options.signal)),
    ...(stretch === undefined ? ["no WAL follows it"] : []),
  ];
  if (stretch === undefined || flaws.length > 0) return { backup: backup.id, wrong: flaws, seconds: seconds() };
  const plan = planOf(settings);
  // Now: WAL comes in while it is recovered.
  const received = receivedAt(stretch) ?? new Date(backup.manifest.finishedAt);
  const lostSeconds = (Date.now() - received.getTime()) / 1000;
  const last = stretch.segments.at(-1)?.name ?? "";
  const wrong = await inScratch(options.scratch, async (folder) => {
    await unpackBase(backup, join(folder, "data"), "recovery.signal", options);
    const own = {
      wal_level: "replica",
      hot_standby: "off",
      restore_command: `sh ${fetchWalFile} ${stretch.folder} %f %p`,
    };
    return withServer(
      folder,
      own,
      options,
      (server) => readRecovered(server, last, plan, settings.dumpMinutes, options),
      recoveryHours * 3600,
    );
  });
  return { backup: backup.id, wrong, seconds: seconds(), ...(wrong.length === 0 ? { lostSeconds } : {}) };
}

async function readRecovered(
  server: Throwaway,
  lastSegment: string,
  plan: Plan,
  dumpMinutes: number,
  options: DrillOptions,
): Promise<readonly string[]> {
  const superuser = await server.connect("postgres", plan.database);
  try {
    const { rows } = await superuser.query<{ segment: string }>(
      "SELECT pg_walfile_name(pg_current_wal_lsn()) AS segment",
    );
    const reached = rows[0]?.segment ?? "";
    // Without its timeline, which the end of the recovery has changed.
    const isShort = reached.slice(8) < lastSegment.slice(8);
    const unread = await reading(server, plan.database, dumpMinutes, options, async (reader, signal) => {
      const { contents, wrong } = await readTables(reader, await tablesOf(reader), dumpMinutes, signal);
      options.say(`${contents.size} tables are read`);
      return wrong;
    });
    const findings = await audit(plan, superuser, undefined);
    return [
      ...(isShort ? [`the recovery ends in ${reached}, and ${lastSegment} was received`] : []),
      ...unread,
      ...findings.map(describeFinding),
    ];
  } finally {
    await superuser.end();
  }
}

/**
 * Reads restored tables as who reads everything and owns nothing, no longer than a dump may take: the session is ended then. What
 * cannot be read keeps nobody from the rest.
 */
async function reading(
  server: Throwaway,
  database: string,
  minutes: number,
  options: DrillOptions,
  read: (reader: Client, signal: AbortSignal | undefined) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const reader = await server.connect("app", database);
  const { rows } = await reader.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  const ended = (limited: DrillOptions) => {
    const end = async () => {
      const superuser = await server.connect("postgres", database);
      await superuser.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]).finally(() => superuser.end());
    };
    // Where the server itself has ended, so has the session.
    limited.signal?.addEventListener("abort", () => void end().catch(() => undefined), { once: true });
    return read(reader, limited.signal);
  };
  try {
    return await within(minutes, options, ended);
  } catch (error) {
    options.signal?.throwIfAborted();
    return [`the tables cannot be read: ${inALine(error)}`];
  } finally {
    await reader.end();
  }
}

/** A dump of everything has those that have none of their own. */
function withoutOwnDump(services: readonly string[], { dumps }: LogicalContents): readonly string[] {
  return services.filter((code) => !dumps.some(({ service }) => service === code));
}

function planOf({ database, registry: { services, extensions } }: DrillSettings): Plan {
  return planAccess(services, { database, extensions });
}

async function apply(server: Throwaway, plan: Plan): Promise<void> {
  const superuser = await server.connect("postgres", plan.database);
  await superuser.query(renderPlan(plan, new Map())).finally(() => superuser.end());
}

/** A folder of its own, which is deleted whatever happens. */
async function inScratch<T>(scratch: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(scratch, `drill-${randomBytes(4).toString("hex")}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
