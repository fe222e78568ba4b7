import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { BackupFailure } from "../../agent/failure";
import { lastWords } from "../../agent/limits";
import { dockerVariables } from "../../components/cluster/docker-cli";

interface PipeOptions {
  /** `DOCKER_HOST`; undefined: the environment's. */
  readonly host: string | undefined;
  /** Ends both. */
  readonly signal: AbortSignal;
  /** What the first one reads. @default nothing */
  readonly input?: Readable;
  /** What the last one writes, as it comes. */
  readonly say?: (text: string) => void;
}

/** What a command of the docker CLI wrote on standard error, of which only the end is kept, and how it ended. */
interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

const keptOfStderr = 4_000;

/**
 * Runs commands of the docker CLI at once, the output of each the next one's input.
 * @throws BackupFailure in the words of the last that fails: of whom its input has broken off says so, and the one before why
 */
export async function pipe(
  commands: readonly (readonly string[])[],
  { host, signal, input, say }: PipeOptions,
): Promise<void> {
  const running = commands.map((args) =>
    spawn("docker", args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...dockerVariables(host) },
      signal,
    }),
  );
  const ended = running.map(
    (child) =>
      new Promise<Ended>((resolve) => {
        let stderr = "";
        child.stderr.on("data", (text: Buffer) => {
          stderr = (stderr + text.toString()).slice(-keptOfStderr);
        });
        child.on("error", (error) => {
          stderr += error.message;
        });
        child.on("close", (status) => {
          resolve({ status, stderr });
        });
      }),
  );
  running.forEach((child, index) => {
    const next = running[index + 1];
    // Who does not read any more is told of by its exit status.
    child.stdin.on("error", () => undefined);
    if (index === 0) {
      if (input === undefined) child.stdin.end();
      else input.on("error", (error) => child.stdin.destroy(error)).pipe(child.stdin);
    }
    if (next === undefined) child.stdout.on("data", (text: Buffer) => say?.(text.toString()));
    else child.stdout.pipe(next.stdin);
    next?.on("close", () => {
      // Nobody reads it any more, and one that has exited with something unread would never close.
      child.stdout.resume();
      child.kill();
    });
  });
  const results = await Promise.all(ended);
  signal.throwIfAborted();
  const failed = results.findLast(({ status }) => status !== 0);
  const first = results.find(({ status, stderr }) => status !== 0 && stderr !== "");
  if (results.at(-1)?.status === 0 || failed === undefined) return;
  throw new BackupFailure(
    [first, failed].map((one) => lastWords(one?.stderr ?? "")).find((words) => words !== "") ?? "it failed",
  );
}
