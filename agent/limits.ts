import { BackupFailure } from "./failure";

/** As whoever has a limit says it. */
export function takesLonger(minutes: number): string {
  return `it takes more than ${minutes} minutes`;
}

/**
 * Does something with tools, and ends them when it takes too long.
 * @throws BackupFailure
 */
export async function within<O extends { readonly signal?: AbortSignal }, T>(
  minutes: number,
  options: O,
  work: (limited: O) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.timeout(Math.ceil(minutes * 60_000));
  const { signal } = options;
  try {
    return await work({ ...options, signal: AbortSignal.any([limit, ...(signal === undefined ? [] : [signal])]) });
  } catch (error) {
    if (limit.aborted && signal?.aborted !== true) throw new BackupFailure(takesLonger(minutes));
    throw error;
  }
}

/** Why a tool says it has failed: its errors, else the end of what it said. */
export function lastWords(stderr: string): string {
  const lines = stderr.trim().split("\n").filter(Boolean);
  const errors = lines.filter((line) => /\berror: /i.test(line));
  return (errors.length > 0 ? errors : lines).slice(-4).join("; ");
}
