import { memoryOf } from "./configuration/memory";

/** What the container of a node may take. */
export interface NodeLimits {
  /** MiB, swap included: a database that swaps is down. */
  readonly memoryMiB: number;
  /** MiB of /dev/shm. */
  readonly sharedMemoryMiB: number;
  /**
   * KiB one server process may allocate for itself: a query beyond that fails alone, before the kernel ends the server.
   * node.sh sets it, and not the container: what `docker exec` runs (pg_dump) is free of it.
   */
  readonly processKiB: number;
}

export function limitsOf(memoryMiB: number): NodeLimits {
  const { sharedMemoryMiB, processLimitMiB } = memoryOf(memoryMiB);
  return { memoryMiB, sharedMemoryMiB, processKiB: processLimitMiB * 1024 };
}

/** The container's limits as options of `docker run`. */
export function limitsAsOptions({ memoryMiB, sharedMemoryMiB }: NodeLimits): readonly string[] {
  return ["--memory", `${memoryMiB}m`, "--memory-swap", `${memoryMiB}m`, "--shm-size", `${sharedMemoryMiB}m`];
}
