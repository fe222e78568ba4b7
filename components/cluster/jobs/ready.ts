import { setTimeout as sleep } from "node:timers/promises";
import { printable } from "../../../services/printable";
import { docker } from "../docker-cli";
import { ask, runJob, variable } from "./job";

/** Recovery after a crash, or copying a large primary, takes minutes. */
const timeoutMs = 30 * 60_000;

/** How long a standby may take to find its primary again before `up` goes on without it. */
const standbyTimeoutMs = 30_000;

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
    if (acceptsConnections(node)) {
      const seconds = outageSeconds(node);
      if (seconds !== undefined)
        process.stdout.write(`${node} did not accept connections for ${seconds.toFixed(1)} s\n`);
      return waitForStandby(node, variable("PEER"));
    }
    const { Status, Restarts } = state(node);
    if (Status === "exited" || Status === "dead" || Restarts > before) throw new Error(failure(node, "does not start"));
    await sleep(100);
  }
  throw new Error(failure(node, `accepts no connection after ${timeoutMs / 60_000} minutes`));
});

function acceptsConnections(node: string): boolean {
  return docker(["exec", node, "pg_isready", "--quiet"]).status === 0;
}

/** Since the container before this one was told to stop, by the engine's memory; undefined where it knows of none. */
function outageSeconds(node: string): number | undefined {
  const now = Date.now();
  const window = ["--since", String(Math.floor((now - timeoutMs) / 1000)), "--until", String(Math.floor(now / 1000))];
  const filters = ["--filter", `container=${node}`, "--filter", "event=kill"];
  const { stdout } = docker([
    "events",
    ...window,
    ...filters,
    "--format",
    "{{.TimeNano}} {{.Actor.Attributes.signal}}",
  ]);
  // SIGHUP, 1, was a reload.
  const stopped = stdout.split("\n").findLast((line) => line !== "" && !line.endsWith(" 1"));
  return stopped === undefined ? undefined : (now - Number(stopped.split(" ")[0]) / 1e6) / 1000;
}

/**
 * Where the other node is a standby of this one, waits until it streams again and has replayed what this one wrote while
 * it started: only then may `up` take the standby down in its turn. A standby that does not come back stops nobody.
 */
async function waitForStandby(node: string, standby: string): Promise<void> {
  if (!acceptsConnections(standby) || ask(standby, "SELECT pg_is_in_recovery()") !== "t") return;
  if (ask(node, "SELECT pg_is_in_recovery()") !== "f") return;
  const written = ask(node, "SELECT pg_current_wal_lsn()");
  const deadline = Date.now() + standbyTimeoutMs;
  while (Date.now() < deadline) {
    const replayed = `SELECT bool_or(replay_lsn >= '${written}') FROM pg_stat_replication`;
    if (ask(node, `${replayed} WHERE application_name = '${standby}'`) === "t") return;
    // Its primary has more of a setting than it has: it goes on when it is started again, which comes next.
    if (ask(standby, "SELECT pg_get_wal_replay_pause_state()") === "paused") return;
    await sleep(200);
  }
  process.stdout.write(`${standby} does not follow ${node} yet, after ${standbyTimeoutMs / 1000} seconds\n`);
}

function state(node: string): State {
  const format = '{"Status": {{json .State.Status}}, "Restarts": {{.RestartCount}}}';
  const { status, stdout, stderr } = docker(["inspect", "--type", "container", "--format", format, node]);
  if (status !== 0) throw new Error(stderr.trim());
  return JSON.parse(stdout) as State;
}

function failure(node: string, what: string): string {
  const { stdout, stderr } = docker(["logs", "--tail", "8", node]);
  // Who connects chooses names and statements in it.
  const lines = `${stdout}${stderr}`.trim().split("\n").slice(-8).map(printable);
  return [`${node} ${what}; the end of its log (docker logs ${node}):`, ...lines].join("\n  ");
}
