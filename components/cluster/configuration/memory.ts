/** What one node's memory is divided into, in MiB. */
export interface Memory {
  readonly sharedBuffersMiB: number;
  readonly effectiveCacheSizeMiB: number;
  readonly workMemMiB: number;
  readonly maintenanceWorkMemMiB: number;
  readonly autovacuumWorkMemMiB: number;
  /** `ulimit -d`: what one server process may allocate for itself. Shared buffers do not count. */
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
    autovacuumWorkMemMiB: Math.max(Math.floor(maintenanceWorkMemMiB / 4), 16),
    // Beside shared_buffers it leaves a quarter: `SET work_mem = '100GB'` fails alone. Less would meet honest work: a
    // row of 45 MB takes 130 MB to read.
    processLimitMiB: Math.min(part(4, 512, Infinity), Math.floor(memoryMiB / 2)),
    sharedMemoryMiB: part(4, 256, 8192),
  };
}
