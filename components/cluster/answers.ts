import { superuserRole } from "../access/plan-items";
import { docker, type DockerRun } from "./docker-cli";

/** A question to a server, and how often it is asked. */
export interface Question {
  readonly container: string;
  readonly database: string;
  readonly query: string;
  readonly host: string | undefined;
  readonly timeoutMs: number;
}

/** What a server says, a line each; or why it says nothing, in words. */
export type Answer = { readonly lines: readonly string[] } | { readonly why: string };

/** A service may bring one failure about, as by all of the server's locks; one that is asked again at once has hardly had time for more. */
const attempts = 3;
const pauseMs = 1_000;

/**
 * Asks a server as superuser, in its container. An error is not the empty answer it looks like: it is asked again, and told then. One that
 * gives no answer in time is not asked again.
 */
export function answerOf({ container, database, query, host, timeoutMs }: Question): Answer {
  const psql = ["psql", "-XAtU", superuserRole, "-d", database, "-c", query];
  for (let left = attempts; ; left--) {
    const { status, stdout, stderr }: DockerRun = docker(["exec", container, ...psql], { host, timeoutMs });
    if (status === 0) return { lines: stdout.split("\n").filter(Boolean) };
    if (status === null || left === 1) return { why: stderr.trim().split("\n")[0] ?? "" };
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  }
}
