import { connectionBudget } from "../../../services/connection-budget";
import type { Service } from "../../../services/service";

/** What one node's memory is divided into, in MiB. */
export interface Memory {
  readonly sharedBuffersMiB: number;
  readonly effectiveCacheSizeMiB: number;
  readonly workMemMiB: number;
  readonly maintenanceWorkMemMiB: number;
  /** `ulimit data`: what one process may allocate for itself. Shared buffers do not count. */
  readonly processLimitMiB: number;
  /** `/dev/shm`: parallel queries and parallel VACUUM share their data there; Docker's 64 MiB break them. */
  readonly sharedMemoryMiB: number;
}

/** Least memory of a node in which the floors below leave room to work. */
export const minMemoryMiB = 512;

/**
 * The page's ratios: of 16 GiB, 4 GB, 12 GB, 64 MB and 1 GB. Source: the operations page, "메모리 설정 (16GB RAM 기준)".
 * Its formula for work_mem (RAM / connections / 2) gives 40 MB and contradicts its own number; the number is kept.
 */
export function memoryOf(memoryMiB: number): Memory {
  const part = (divisor: number, floor: number, ceiling: number) =>
    Math.min(Math.max(Math.floor(memoryMiB / divisor), floor), ceiling);
  const maintenanceWorkMemMiB = part(16, 32, 2048); // beyond that an index build gains nothing
  return {
    sharedBuffersMiB: part(4, 128, 32_768), // beyond that the operating system's cache does it better
    effectiveCacheSizeMiB: Math.floor((memoryMiB * 3) / 4),
    workMemMiB: part(256, 4, 256),
    maintenanceWorkMemMiB,
    // Twice the largest allocation a setting allows, so that only `SET work_mem = '100GB'` meets it.
    processLimitMiB: Math.max(maintenanceWorkMemMiB * 2, 256),
    sharedMemoryMiB: part(4, 256, 8192),
  };
}

/** How much of a node's memory is spoken for when every connection the budget allows sorts at the same time. */
export interface MemoryDemand {
  readonly memoryMiB: number;
  readonly demandMiB: number;
  /** `4096 MiB shared_buffers + 128 connections × 64 MiB work_mem + 3 autovacuum workers × 1024 MiB`. */
  readonly sum: string;
}

/** PostgreSQL's own default of `autovacuum_max_workers`. */
const autovacuumWorkers = 3;

/**
 * One work_mem for each connection that can exist: the services' limits are enforced, so it is their sum that counts and
 * not max_connections. That is why 64 MB survive beside 200 connections. A query may use several times work_mem, but not
 * all queries do, and the container's limits keep one from taking the others with it.
 */
export function memoryDemand(memoryMiB: number, services: readonly Service[]): MemoryDemand {
  const { sharedBuffersMiB, workMemMiB, maintenanceWorkMemMiB } = memoryOf(memoryMiB);
  const budget = connectionBudget(services, 0);
  const connections = budget.reserved + budget.services.reduce((sum, service) => sum + service.connections, 0);
  return {
    memoryMiB,
    demandMiB: sharedBuffersMiB + connections * workMemMiB + autovacuumWorkers * maintenanceWorkMemMiB,
    sum:
      `${sharedBuffersMiB} MiB shared_buffers + ${connections} connections × ${workMemMiB} MiB work_mem + ` +
      `${autovacuumWorkers} autovacuum workers × ${maintenanceWorkMemMiB} MiB maintenance_work_mem`,
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
