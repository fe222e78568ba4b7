import { setTimeout as sleep } from "node:timers/promises";
import { docker } from "../docker-cli";
import { runJob, variable } from "./job";

/** Recovery after a crash, or copying a large primary, takes minutes. */
const timeoutMs = 30 * 60_000;

interface State {
  readonly Status: string;
  readonly Restarts: number;
}

/**
 * Waits until a node accepts connections. The provider's own wait does not notice a container that has ended, and its
 * timeout makes the next `up` replace the container; this job fails at once, with the end of the log.
 */
runJob("not ready", async () => {
  const node = variable("CONTAINER");
  const before = state(node).Restarts;
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (docker(["exec", node, "pg_isready", "--quiet"]).status === 0) return;
    const { Status, Restarts } = state(node);
    if (Status === "exited" || Status === "dead" || Restarts > before) throw new Error(failure(node, "does not start"));
    await sleep(100);
  }
  throw new Error(failure(node, `accepts no connection after ${timeoutMs / 60_000} minutes`));
});

function state(node: string): State {
  const format = '{"Status": {{json .State.Status}}, "Restarts": {{.RestartCount}}}';
  const { status, stdout, stderr } = docker(["inspect", "--type", "container", "--format", format, node]);
  if (status !== 0) throw new Error(stderr.trim());
  return JSON.parse(stdout) as State;
}

function failure(node: string, what: string): string {
  const { stdout, stderr } = docker(["logs", "--tail", "8", node]);
  const lines = `${stdout}${stderr}`.trim().split("\n").slice(-8);
  return [`${node} ${what}; the end of its log (docker logs ${node}):`, ...lines].join("\n  ");
}
