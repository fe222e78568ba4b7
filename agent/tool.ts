import { execa, type ResultPromise } from "execa";
import { BackupFailure } from "./failure";
import { lastWords } from "./limits";
import { textOptions } from "./proof/table-contents";
import type { Places } from "./settings";

/** Starts a tool; with `signal` it can be ended. */
export interface ToolOptions {
  readonly places: Places;
  readonly signal?: AbortSignal;
}

/** What every tool of PostgreSQL needs to reach a server: encrypted, verified, the password from a file. */
export function toolEnvironment({ configuration }: Places): Readonly<Record<string, string>> {
  return {
    PGPASSFILE: `${configuration}/pgpass`,
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: `${configuration}/tls/authority.crt`,
    PGAPPNAME: "centraldb-backup",
    PGCONNECT_TIMEOUT: "10",
    LC_ALL: "C.UTF-8",
  };
}

/**
 * Runs a tool to its end; its standard output.
 * @throws BackupFailure where it does not end with 0, with the end of what it said
 */
export async function runTool(program: string, args: readonly string[], options: ToolOptions): Promise<string> {
  const { stdout } = await settled(program, startTool(program, args, options));
  return stdout;
}

/** Starts a tool whose output is read while it runs; await {@link settled} of it. */
export function startTool(
  program: string,
  args: readonly string[],
  { places, signal }: ToolOptions,
  { buffer = true }: { readonly buffer?: boolean } = {},
): ResultPromise<{ stdin: "ignore"; encoding: "utf8"; buffer: { stdout: boolean; stderr: false } }> {
  const running = execa(program, args, {
    env: { ...toolEnvironment(places), ...(program === "pg_dump" ? { PGOPTIONS: textOptions } : {}) },
    stdin: "ignore",
    encoding: "utf8",
    // What it says of its failure is kept in any case, but no more than its end: pg_dump warns of an owner's functions for hours.
    buffer: { stdout: buffer, stderr: false },
    ...(signal === undefined ? {} : { cancelSignal: signal }),
    // SIGKILL for what does not end when it is told to.
    forceKillAfterDelay: 10_000,
  });
  let end = "";
  running.stderr.on("data", (text: Buffer | string) => {
    end = (end + text.toString()).slice(-keptOfStderr);
    endsOfStderr.set(running, end);
  });
  return running;
}

const keptOfStderr = 4_000;
/** What a tool said last. */
const endsOfStderr = new WeakMap<object, string>();

/** @throws BackupFailure where the tool does not end with 0 */
export async function settled<T extends ResultPromise>(program: string, running: T): Promise<Awaited<T>> {
  try {
    return await running;
  } catch (error) {
    const { exitCode, signal, shortMessage } = error as {
      exitCode?: number;
      signal?: string;
      shortMessage?: string;
    };
    const how = signal === undefined ? (exitCode === undefined ? shortMessage : `exit status ${exitCode}`) : signal;
    const said = lastWords(endsOfStderr.get(running) ?? "");
    throw new BackupFailure(`${program}: ${how ?? "failed"}${said === "" ? "" : `: ${said}`}`);
  }
}
