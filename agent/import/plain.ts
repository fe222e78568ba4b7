import { createInterface } from "node:readline";
import { Transform, type Readable } from "node:stream";
import { execa } from "execa";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import type { Throwaway } from "../restore/throwaway";
import type { ToolOptions } from "../tool";
import { piped } from "./format";

/** pg_dump's last words: a file without them was cut off. */
const lastLine = "-- PostgreSQL database dump complete";
/** More than what comes after them. */
const tailBytes = 4096;

/**
 * Runs the SQL of a dump as the superuser of a server that is thrown away: it may have anything in it.
 * @returns what is not in the database now, in words
 * @throws BackupFailure where a statement fails for another reason than a role nobody knows, or the file is not whole
 */
export async function loadPlain(
  { socket }: Throwaway,
  database: string,
  contents: Readable,
  { signal }: ToolOptions,
): Promise<readonly string[]> {
  let tail = Buffer.alloc(0);
  const whole = new Transform({
    transform(chunk: Buffer, _, done) {
      tail = Buffer.concat([tail, chunk]).subarray(-tailBytes);
      done(null, chunk);
    },
  });
  piped(contents, whole);
  const args = [
    "--no-psqlrc",
    "--quiet",
    `--host=${socket}`,
    "--username=postgres",
    `--dbname=${database}`,
    "--file=-",
  ];
  const running = execa("psql", args, {
    input: whole,
    stdout: "ignore",
    stderr: "pipe",
    buffer: false,
    reject: false,
    env: { PGCONNECT_TIMEOUT: "10", LC_ALL: "C.UTF-8" },
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  const roles = new Set<string>();
  const errors: string[] = [];
  for await (const line of createInterface({ input: running.stderr })) {
    const [, error = ""] = /^psql:<stdin>:\d+: (?:error|ERROR|FATAL): +(.*)$/.exec(line) ?? [];
    const [, role] = /^role "(.+)" does not exist$/.exec(error) ?? [];
    if (role !== undefined) roles.add(role);
    else if (error !== "" && errors.length < 1000) errors.push(error);
  }
  const { exitCode, message } = await running;
  signal?.throwIfAborted();
  if (errors.length > 0) throw new BackupFailure(`its SQL fails: ${shortened(errors)}`);
  if (exitCode !== 0) throw new BackupFailure(`psql ends with ${exitCode ?? message}`);
  if (!tail.includes(lastLine)) throw new BackupFailure(`it is cut off: its end is not ${lastLine}`);
  return roles.size === 0 ? [] : [`owners and rights of roles that are not the stack's: ${shortened([...roles])}`];
}
