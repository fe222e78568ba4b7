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
}

/** The variables that send the docker CLI to `host`; none where the environment already says where. */
export function dockerVariables(host: string | undefined): Readonly<Record<string, string>> {
  return host === undefined ? {} : { DOCKER_HOST: host };
}

/** Runs the docker CLI. An exit status is the caller's to judge; 127 where there is no CLI. */
export function docker(args: readonly string[], { input, host }: DockerOptions = {}): DockerRun {
  const { status, stdout, stderr, error } = spawnSync("docker", args, {
    encoding: "utf8",
    maxBuffer: 1 << 26,
    ...(input === undefined ? {} : { input }),
    env: { ...process.env, ...dockerVariables(host) },
  });
  if (error) return { status: 127, stdout: "", stderr: `the docker command does not run: ${error.message}` };
  return { status, stdout, stderr };
}
