import { answerTimeoutMs, docker } from "../docker-cli";

/** A variable of the environment pulumi runs a job with. */
export function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** Runs a throw-away container that is removed however it ends, and passes on what it printed. */
export function runThrowAway(name: string, args: readonly string[], input: string): void {
  const container = `${name}-${process.pid}`;
  try {
    const { status, stdout, stderr } = docker(["run", "--rm", "--interactive", "--name", container, ...args], {
      input,
    });
    process.stdout.write(stdout);
    if (status !== 0) throw new Error(stderr.trim());
  } finally {
    docker(["rm", "--force", "--volumes", container]); // a container that could not start stays
  }
}

/** The single value a query of the superuser on the socket gives; "" where the server does not answer. */
export function ask(node: string, query: string): string {
  const psql = ["psql", "-XAtU", "postgres", "-d", "postgres", "-c", query];
  return docker(["exec", node, ...psql], { timeoutMs: answerTimeoutMs }).stdout.trim();
}

/** Runs a job: exit status 1 and one message when it fails, so that `up` fails and the next one tries again. */
export function runJob(title: string, job: () => Promise<void> | void): void {
  Promise.resolve()
    .then(job)
    .catch((error: unknown) => {
      process.stderr.write(`${title}: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    });
}
