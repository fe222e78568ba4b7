import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** What a command printed and how it ended. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  /** Both streams, as a person sees them. */
  readonly output: string;
}

interface RunOptions {
  /** @default the checkout */
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** Runs a program to its end. Throws where it cannot be started; an exit status is the test's to judge. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: join(__dirname, "..", ".."),
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...options,
  });
  if (error) throw error;
  return { status, stdout, output: stdout + stderr };
}
