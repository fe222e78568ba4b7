import { connectionBudget } from "../../../services/connection-budget";
import type { Service } from "../../../services/service";
import { postgresqlConf, type PostgresConfOptions } from "./postgresql-conf";

/** How much of a node's memory is spoken for when every connection the budget allows sorts at the same time. */
export interface MemoryDemand {
  readonly memoryMiB: number;
  readonly demandMiB: number;
  /** `4096 MiB shared_buffers + 128 connections × 64 MiB work_mem + 3 autovacuum workers × 256 MiB autovacuum_work_mem`. */
  readonly sum: string;
}

/** MiB that a bare number means in postgresql.conf. */
const units = { shared_buffers: 8 / 1024, work_mem: 1 / 1024, autovacuum_work_mem: 1 / 1024 } as const;
/** PostgreSQL's own default of `autovacuum_max_workers`. */
const defaultAutovacuumWorkers = "3";

/**
 * One work_mem for each connection that can exist: the services' limits are enforced, so it is their sum that counts and
 * not max_connections. That is why 64 MB survive beside 200 connections. A query may use several times work_mem, but not
 * all queries do, and the container's limits keep one from taking the others with it.
 */
export function memoryDemand(options: PostgresConfOptions, services: readonly Service[]): MemoryDemand {
  const conf = postgresqlConf(options);
  const valueOf = (name: string) => conf.find((setting) => setting.name === name)?.value;
  const mebibytes = (name: keyof typeof units) => sizeMiB(valueOf(name) ?? "", units[name]);
  const budget = connectionBudget(services, 0);
  const connections = budget.reserved + budget.services.reduce((sum, service) => sum + service.connections, 0);
  const sharedBuffers = mebibytes("shared_buffers");
  const workMem = mebibytes("work_mem");
  const autovacuumWorkMem = mebibytes("autovacuum_work_mem");
  const workers = Number(valueOf("autovacuum_max_workers") ?? defaultAutovacuumWorkers) || 0;
  return {
    memoryMiB: options.memoryMiB,
    demandMiB: Math.ceil(sharedBuffers + connections * workMem + workers * autovacuumWorkMem),
    sum:
      `${sharedBuffers} MiB shared_buffers + ${connections} connections × ${workMem} MiB work_mem + ` +
      `${workers} autovacuum workers × ${autovacuumWorkMem} MiB autovacuum_work_mem`,
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
