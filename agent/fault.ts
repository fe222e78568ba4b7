import { statfs } from "node:fs/promises";
import type { Client } from "pg";
import { BackupFailure, inALine } from "./failure";
import type { ToolOptions } from "./tool";
import { segmentBytes } from "./wal-position";

/** A dump while it is made. */
export interface Dumping {
  /** A session in the dump's own snapshot. */
  readonly client: Client;
  readonly folder: string;
  readonly options: ToolOptions & { readonly say: (line: string) => void };
}

/** It may have changed while something was awaited. */
export const isAborted = ({ signal }: ToolOptions): boolean => signal?.aborted === true;

export const failureOf = (error: unknown): BackupFailure =>
  error instanceof BackupFailure ? error : new BackupFailure(inALine(error));

/** A store with less than a segment of WAL is full, whatever a tool says: its words have names in them that an owner has chosen. */
const fullBytes = segmentBytes;

/** Whether what failed is the agent's own end, the server's or the disk's, and no service's doing. Back to the savepoint where not. */
export async function isEverybodys({ client, folder, options }: Dumping, savepoint: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return isAborted(options) || bavail * bsize < fullBytes || !(await isAlive(client, savepoint));
}

/** Back to a savepoint; false where the session is gone, and the snapshot with it. */
async function isAlive(client: Client, savepoint: string): Promise<boolean> {
  return client.query(`ROLLBACK TO SAVEPOINT ${savepoint}`).then(
    () => true,
    () => false,
  );
}

/** The first few of many, in one line. */
export const shortened = (list: readonly string[]): string =>
  list.slice(0, 5).join("; ") + (list.length > 5 ? "; …" : "");
