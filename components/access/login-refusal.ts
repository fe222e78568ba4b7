import { DatabaseError } from "pg";

/** PostgreSQL's code, also where there are too many of all, which is said before a password is looked at. */
export const tooManyConnections = "53300";

/**
 * Why a role is not let in; undefined where only its connections are all taken, which is said to none but who had the right password. By
 * its code too: a role chooses words of other errors, as by the name of a library that is not there.
 */
export function whyRefused(error: unknown): string | undefined {
  const isFull =
    error instanceof DatabaseError && error.code === tooManyConnections && /for role|reserved/.test(error.message);
  return isFull ? undefined : error instanceof Error ? error.message : String(error);
}
