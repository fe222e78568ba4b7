import { memoryOf } from "./configuration/memory";

/** What the container of a node may take. */
export interface NodeLimits {
  /** MiB, swap included: a database that swaps is down. */
  readonly memoryMiB: number;
  /** MiB of /dev/shm. */
  readonly sharedMemoryMiB: number;
  /** Bytes one process may allocate for itself: a query beyond that fails alone, before the kernel ends the server. */
  readonly processBytes: number;
}

export function limitsOf(memoryMiB: number): NodeLimits {
  const { sharedMemoryMiB, processLimitMiB } = memoryOf(memoryMiB);
  return { memoryMiB, sharedMemoryMiB, processBytes: processLimitMiB * 1024 * 1024 };
}

/** The same limits as options of `docker run`. */
export function limitsAsOptions({ memoryMiB, sharedMemoryMiB, processBytes }: NodeLimits): readonly string[] {
  return [
    ...["--memory", `${memoryMiB}m`, "--memory-swap", `${memoryMiB}m`, "--shm-size", `${sharedMemoryMiB}m`],
    ...["--ulimit", `data=${processBytes}:${processBytes}`],
  ];
}
