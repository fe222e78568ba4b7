import { connectionBudget } from "../../../services/connection-budget";
import type { Service } from "../../../services/service";
import { postgresqlConf, type PostgresConfOptions } from "./postgresql-conf";

/** How much of a node's memory is spoken for when every connection the budget allows sorts at the same time. */
export interface MemoryDemand {
  readonly memoryMiB: number;
  readonly demandMiB: number;
  /** `4096 MiB shared_buffers + 128 connections × 64 MiB work_mem + 3 autovacuum workers × 1024 MiB maintenance_work_mem`. */
  readonly sum: string;
}

/** PostgreSQL's own defaults and units (MiB of a bare number), where a stack may say otherwise. */
const settings = {
  shared_buffers: { unitMiB: 8 / 1024 },
  work_mem: { unitMiB: 1 / 1024 },
  maintenance_work_mem: { unitMiB: 1 / 1024 },
} as const;
const autovacuumWorkers = 3;

/**
 * One work_mem for each connection that can exist: the services' limits are enforced, so it is their sum that counts and
 * not max_connections. That is why 64 MB survive beside 200 connections. A query may use several times work_mem, but not
 * all queries do, and the container's limits keep one from taking the others with it.
 */
export function memoryDemand(options: PostgresConfOptions, services: readonly Service[]): MemoryDemand {
  const conf = postgresqlConf(options);
  const mebibytes = (name: keyof typeof settings) =>
    sizeMiB(conf.find((setting) => setting.name === name)?.value ?? "", settings[name].unitMiB);
  const budget = connectionBudget(services, 0);
  const connections = budget.reserved + budget.services.reduce((sum, service) => sum + service.connections, 0);
  const sharedBuffers = mebibytes("shared_buffers");
  const workMem = mebibytes("work_mem");
  const maintenanceWorkMem = mebibytes("maintenance_work_mem");
  return {
    memoryMiB: options.memoryMiB,
    demandMiB: Math.ceil(sharedBuffers + connections * workMem + autovacuumWorkers * maintenanceWorkMem),
    sum:
      `${sharedBuffers} MiB shared_buffers + ${connections} connections × ${workMem} MiB work_mem + ` +
      `${autovacuumWorkers} autovacuum workers × ${maintenanceWorkMem} MiB maintenance_work_mem`,
  };
}

/** What to tell the operator, or undefined where memory suffices. */
export function memoryWarning({ memoryMiB, demandMiB, sum }: MemoryDemand): string | undefined {
  if (demandMiB <= memoryMiB) return undefined;
  return (
    `centraldb:memoryMiB: the settings could take ${demandMiB} MiB of a node's ${memoryMiB} (${sum}): ` +
    "give it more, lower connection limits in services/registry.ts, or set work_mem in centraldb:postgresqlSettings"
  );
}

/** A size as postgresql.conf has it; 0 where it is none: PostgreSQL itself refuses that, with its own words. */
function sizeMiB(text: string, unitMiB: number): number {
  const [, number = "0", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?\s*$/.exec(text) ?? [];
  const factors: Readonly<Record<string, number>> = {
    B: 1 / 1024 ** 2,
    kB: 1 / 1024,
    MB: 1,
    GB: 1024,
    TB: 1024 ** 2,
  };
  return Number(number) * (factors[unit] ?? unitMiB);
}
