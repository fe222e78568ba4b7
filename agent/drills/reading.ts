import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { inALine } from "../failure";
import { takesLonger, within } from "../limits";
import type { ReadLimit } from "../restore/compare";
import type { Throwaway } from "../restore/throwaway";
import type { ToolOptions } from "../tool";
import type { DrillFinding } from "./findings";

/** Longer than a statement that is cancelled takes to end. */
const graceMinutes = 0.5;

/**
 * Reads what is restored as who reads everything and owns nothing, in a session for each service, no longer than its dump may take. What
 * one of them has keeps nobody from the others: where no cancellation ends it, its session is ended.
 * @param services null: what is of none
 */
export async function readEach(
  server: Throwaway,
  database: string,
  services: readonly (string | null)[],
  minutes: number,
  options: ToolOptions,
  read: (reader: Client, service: string | null, limit: ReadLimit) => Promise<readonly string[]>,
): Promise<readonly DrillFinding[]> {
  const found: DrillFinding[] = [];
  for (const service of services) {
    const until = performance.now() + minutes * 60_000;
    const work = (limited: ToolOptions) =>
      withReader(server, database, limited, (reader) =>
        read(reader, service, { minutes, until, signal: limited.signal }),
      );
    const wrong = await within(minutes + graceMinutes, options, work).catch((error: unknown) => {
      const why = performance.now() >= until ? takesLonger(minutes) : inALine(error);
      return [`${service ?? "what is of no service"} cannot be read: ${why}`];
    });
    options.signal?.throwIfAborted();
    found.push(...wrong.map((what) => ({ service, what })));
  }
  return found;
}

/** The signal ends the session, on both sides. */
async function withReader<T>(
  server: Throwaway,
  database: string,
  options: ToolOptions,
  work: (reader: Client) => Promise<T>,
): Promise<T> {
  const reader = await connectAgain(server, "app", database, options);
  const { processID: pid } = reader as Client & { readonly processID: number };
  const end = async () => {
    const superuser = await server.connect("postgres", database);
    await superuser.query("SELECT pg_terminate_backend($1)", [pid]).finally(() => superuser.end());
  };
  // Where the server itself has ended, so has the session.
  const onAbort = () =>
    void end()
      .catch(() => undefined)
      .finally(() => reader.end());
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await work(reader);
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
    await reader.end();
  }
}

const againMs = 60_000;

/** Logs in where a server that one session has ended with all others lets nobody in for a while. */
export async function connectAgain(
  server: Throwaway,
  user: string,
  database: string,
  { signal }: ToolOptions,
): Promise<Client> {
  for (const deadline = performance.now() + againMs; ;) {
    try {
      return await server.connect(user, database);
    } catch (error) {
      if (signal?.aborted === true || performance.now() >= deadline) throw error;
      await sleep(1000);
    }
  }
}
