import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { planAccess } from "../components/access/plan";
import type { Plan } from "../components/access/plan-items";
import { audit } from "../ops/audit/audit";
import { describeFinding } from "../ops/audit/finding";
import type { Client } from "pg";
import { fetchWalFile } from "../components/backup/agent-file";
import { serviceOf, type DrillFinding } from "./drills/findings";
import { connectAgain, readEach } from "./drills/reading";
import type { LogicalContents } from "./manifest";
import { newRowKey } from "./proof/row-sum";
import { tablesOf } from "./proof/tables";
import { unpackBase } from "./restore/base";
import { differencesOf, readTables } from "./restore/compare";
import { ServerTaken } from "./restore/owner-login";
import { applyPlan, makePlanned } from "./restore/planned";
import { restoreServices } from "./restore/services";
import { initialize, withServer, type Throwaway } from "./restore/throwaway";
import type { AgentSettings } from "./settings";
import { differences, readContents, type Stored } from "./store";
import type { ToolOptions } from "./tool";
import { receivedAt, type Stretch } from "./wal-archive";

/** What a drill has found of one backup. */
export interface DrillResult {
  readonly backup: string;
  /** Empty where it is what it was. */
  readonly wrong: readonly DrillFinding[];
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
  const logical = readContents(backup);
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const flaws = await differences(backup, options.signal);
  if (flaws.length > 0) return { backup: backup.id, wrong: flaws.map(ofNone), seconds: seconds() };
  const plan = planOf(settings);
  // Where nothing ends a service's code, the server is ended, and the others are restored in another.
  const restore = async (without: readonly string[]): Promise<readonly DrillFinding[]> => {
    const restoring = inScratch(options.scratch, async (folder) => {
      await initialize(join(folder, "data"), options);
      return withServer(folder, {}, options, (server) =>
        restoreAndCompare(server, backup, logical, { ...settings, plan, without }, options),
      );
    });
    return restoring.catch(async (error: unknown) => {
      if (!(error instanceof ServerTaken) || without.includes(error.service)) throw error;
      return [{ service: error.service, what: error.message }, ...(await restore([...without, error.service]))];
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
): Promise<readonly DrillFinding[]> {
  await makePlanned(server, plan);
  const known = plan.services.map(({ code }) => code);
  const inside = logical.services.filter((code) => known.includes(code) && !without.includes(code));
  const dumps = logical.dumps.map(({ file, service }) => ({
    ...{ file, service },
    services: service === null ? withoutOwnDump(inside, logical) : inside.filter((code) => code === service),
  }));
  const failed = await restoreServices(server, plan, backup.folder, dumps, dumpMinutes, options);
  options.say(`${inside.length - failed.length} of ${inside.length} services are restored`);
  await applyPlan(server, plan);

  const differing = await readEach(server, plan.database, inside, dumpMinutes, options, (reader, service, limit) =>
    differencesOf(reader, logical, service === null ? [] : [service], limit),
  );
  const findings = await audited(server, plan, options);
  const absent = known.filter(
    (code) => ![...logical.services, ...logical.leftOut.map(({ service }) => service)].includes(code),
  );
  return [
    ...logical.leftOut.map(({ service, why }) => ({ service, what: `it has no ${service}: ${why}` })),
    ...absent.map((service) => ({ service, what: `it has no ${service}, which was no service then` })),
    ...failed.map(({ service, why }) => ({ service, what: `${service} cannot be restored: ${why}` })),
    ...differing,
    ...findings,
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
  if (stretch === undefined || flaws.length > 0)
    return { backup: backup.id, wrong: flaws.map(ofNone), seconds: seconds() };
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
): Promise<readonly DrillFinding[]> {
  const { database, services } = plan;
  const superuser = await server.connect("postgres", database);
  const { rows } = await superuser
    .query<{ segment: string }>("SELECT pg_walfile_name(pg_current_wal_lsn()) AS segment")
    .finally(() => superuser.end());
  const reached = rows[0]?.segment ?? "";
  // Without its timeline, which the end of the recovery has changed.
  const isShort = reached.slice(8) < lastSegment.slice(8);
  const codes = services.map(({ code }) => code);
  let tables = 0;
  const unread = await readEach(
    server,
    database,
    [...codes, null],
    dumpMinutes,
    options,
    async (reader, service, limit) => {
      const its = await tablesOf(reader, service === null ? await schemasBeside(reader, codes) : [service]);
      const { contents, wrong } = await readTables(reader, its, newRowKey(), limit);
      tables += contents.size;
      return wrong;
    },
  );
  options.say(`${tables} tables are read`);
  const findings = await audited(server, plan, options);
  return [
    ...(isShort ? [ofNone(`the recovery ends in ${reached}, and ${lastSegment} was received`)] : []),
    ...unread,
    ...findings,
  ];
}

/** The platform's own, and whatever else is there. */
async function schemasBeside(reader: Client, services: readonly string[]): Promise<readonly string[]> {
  const { rows } = await reader.query<{ name: string }>(
    "SELECT nspname::text AS name FROM pg_namespace WHERE nspname <> ALL ($1)",
    [services],
  );
  return rows.map(({ name }) => name);
}

async function audited(server: Throwaway, plan: Plan, options: DrillOptions): Promise<readonly DrillFinding[]> {
  const superuser = await connectAgain(server, "postgres", plan.database, options);
  const findings = await audit(plan, superuser, undefined).finally(() => superuser.end());
  return findings.map((finding) => ({ service: serviceOf(finding, plan.services), what: describeFinding(finding) }));
}

const ofNone = (what: string): DrillFinding => ({ service: null, what });

/** A dump of everything has those that have none of their own. */
function withoutOwnDump(services: readonly string[], { dumps }: LogicalContents): readonly string[] {
  return services.filter((code) => !dumps.some(({ service }) => service === code));
}

function planOf({ database, registry: { services, extensions } }: DrillSettings): Plan {
  return planAccess(services, { database, extensions });
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
