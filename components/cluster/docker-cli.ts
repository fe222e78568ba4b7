import { spawnSync } from "node:child_process";

/** How a command of the docker CLI ended. */
export interface DockerRun {
  /** null when it was ended by a signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DockerOptions {
  /** Standard input: the way for a secret, which must not stand in a process list. */
  readonly input?: string;
  /** `DOCKER_HOST`; @default the environment's */
  readonly host?: string | undefined;
  /** For a question to a server in which somebody may have locked what every login needs. @default none */
  readonly timeoutMs?: number;
}

/** The variables that send the docker CLI to `host`; none where the environment already says where. */
export function dockerVariables(host: string | undefined): Readonly<Record<string, string>> {
  return host === undefined ? {} : { DOCKER_HOST: host };
}

/** How long a server may take to answer a question of one line. */
export const answerTimeoutMs = 20_000;

const maxMiB = 64;

/** What is said of a command whose output is longer than any that is expected; it is ended. */
export const tooMuch = `it prints more than ${maxMiB} MiB`;

/** Docker's word for what a container does: `running`, `exited`, …; undefined where there is none. */
export function containerState(container: string, host?: string): string | undefined {
  const inspect = ["inspect", "--type", "container", "--format", "{{.State.Status}}", container];
  const { status, stdout } = docker(inspect, { host });
  return status === 0 ? stdout.trim() : undefined;
}

/** Runs the docker CLI. An exit status is the caller's to judge; 127 where there is no CLI. */
export function docker(args: readonly string[], { input, host, timeoutMs }: DockerOptions = {}): DockerRun {
  const { status, stdout, stderr, error } = spawnSync("docker", args, {
    encoding: "utf8",
    maxBuffer: maxMiB * 1024 ** 2,
    ...(input === undefined ? {} : { input }),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    env: { ...process.env, ...dockerVariables(host) },
  });
  if (error && (error as NodeJS.ErrnoException).code === "ETIMEDOUT") {
    return { status: null, stdout, stderr: `docker ${args.join(" ")}: no answer in ${(timeoutMs ?? 0) / 1000} s` };
  }
  if (error && (error as NodeJS.ErrnoException).code === "ENOBUFS") return { status: null, stdout, stderr: tooMuch };
  if (error) return { status: 127, stdout: "", stderr: `the docker command does not run: ${error.message}` };
  return { status, stdout, stderr };
}
