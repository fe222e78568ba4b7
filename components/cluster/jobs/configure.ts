import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { containerState, docker } from "../docker-cli";
import { endSessionsScript } from "../node-script";
import { ask, runJob, runThrowAway, variable } from "./job";

/** What must stand in no environment and no process list. */
export interface ConfigurationSecrets {
  readonly replicationPassword: string;
  /** Of `app`: the backup's container has the configuration volume too. */
  readonly dumpPassword: string;
  /** PEM by file name: `authority.crt`, and `.crt` and `.key` of each node's host name. */
  readonly tls: Readonly<Record<string, string>>;
}

const title =
  "configuration refused, the running servers keep theirs; what a stack sets is centraldb:postgresqlSettings";

/**
 * The configuration job: proves the new configuration on a throw-away server with the limits and ports of a node, puts
 * the files into the volume, and lets the running nodes reload. Standard input, as JSON: {@link ConfigurationSecrets}.
 */
async function configure(): Promise<void> {
  const nodes = variable("NODES").split(" ");
  const script = readFileSync(join(__dirname, "..", "scripts", "install-configuration.sh"), "utf8");
  const { replicationPassword, dumpPassword, tls } = JSON.parse(readFileSync(0, "utf8")) as ConfigurationSecrets;
  const tlsFiles = Object.entries(tls).map(([name, text]) => `${name} ${Buffer.from(text).toString("base64")}\n`);
  const dataVolumes = variable("DATA_VOLUMES").split(" ");
  runThrowAway(
    `${variable("NETWORK")}-configuration`,
    [
      ...["--network", variable("NETWORK"), "--user", "root", "--entrypoint", "bash"],
      ...(JSON.parse(variable("NODE_OPTIONS_TO_CHECK")) as string[]),
      ...newPorts(nodes),
      ...["--volume", `${variable("CONFIG_VOLUME")}:/etc/centraldb`, "--env", "CONFIG=/etc/centraldb"],
      ...dataVolumes.flatMap((volume, index) => ["--volume", `${volume}:/data/${nodes[index] ?? volume}:ro`]),
      ...[
        "--env",
        `NODE=${nodes[0] ?? ""}`,
        "--env",
        "POSTGRESQL_CONF",
        "--env",
        "PG_HBA_CONF",
        "--env",
        "PG_IDENT_CONF",
      ],
      ...[variable("IMAGE"), "-c", script],
    ],
    [`${replicationPassword}\n`, `${dumpPassword}\n`, ...tlsFiles].join(""),
  );
  // Not by docker kill: the engine takes whatever that signals for stopped by hand, and starts it no more after a crash or a reboot.
  const reloaded = nodes.filter((node) => docker(["exec", node, "bash", "-c", "kill -HUP 1"]).status === 0);
  await sleep(500); // the postmaster answers no signal
  const stuck = endSessions(nodes, (process.env["END_SESSIONS_OF"] ?? "").split(" ").filter(Boolean));
  if (stuck.length > 0) {
    // What such a session has locked may keep everything behind this waiting. The next up tries again.
    process.stderr.write(`frozen services are let in no more, but have sessions: ${stuck.join("; ")}, then up again\n`);
    process.exitCode = 1;
    return;
  }
  for (const node of reloaded) sayReloaded(node);
  warnOfMemory(Number(variable("MEMORY_MIB")) * nodes.length);
}

/** The limits of both nodes are a promise the machine must be able to keep. */
function warnOfMemory(wantedMiB: number): void {
  const hasMiB = Math.floor(Number(docker(["info", "--format", "{{.MemTotal}}"]).stdout) / 1024 ** 2);
  if (hasMiB > 0 && wantedMiB > hasMiB) {
    process.stdout.write(
      `centraldb:memoryMiB: both nodes may take ${wantedMiB} MiB, the engine's machine has ${hasMiB}\n`,
    );
  }
}

/**
 * What the daemon must be able to give before a container goes: each address, and each port the nodes do not have yet.
 * A port they have is free again when their container is replaced.
 */
function newPorts(nodes: readonly string[]): string[] {
  const published = nodes.map((node) => docker(["port", node, "5432"]).stdout.split("\n").filter(Boolean));
  const has = (index: number, port: string) =>
    published[index]?.some((address) => address.endsWith(`:${port}`)) ?? false;
  return variable("PORTS")
    .split(" ")
    .flatMap((address, index) => {
      const [host = "", port = ""] = address.split(":");
      if (nodes.some((_, other) => other !== index && has(other, port))) {
        throw new Error(
          `port ${port} is still the other node's: give that one another port first, in an up of its own`,
        );
      }
      if (published[index]?.includes(address)) return [];
      return ["--publish", `${host}:${has(index, port) ? "" : port}:5432`];
    });
}

/** Exit status of end-sessions.sh. */
const someGoOn = 3;

/**
 * Of who may not log in from now on: no login is needed, and nothing such a session has locked keeps it.
 * @returns the nodes on which some go on, and what ends those
 */
function endSessions(nodes: readonly string[], roles: readonly string[]): readonly string[] {
  if (roles.length === 0) return [];
  const input = readFileSync(endSessionsScript, "utf8");
  return nodes.flatMap((node) => {
    const script = ["exec", "--interactive", "--env", "UNNAMED=1", node, "bash", "-s", "--", ...roles];
    const { status, stdout, stderr } = docker(script, { input });
    // One that does not run has none; of one that does, nothing is known where nothing could be asked.
    if (status === someGoOn || (status !== 0 && containerState(node) === "running"))
      return [`${node}: ${stderr.trim()}`];
    const said =
      status === 0
        ? `ended ${stdout.trim()} sessions of frozen services, or of who has not said yet who it is`
        : stderr.trim();
    if (status !== 0 || stdout.trim() !== "0") process.stdout.write(`${node}: ${said}\n`);
    return [];
  });
}

/** Process 1 is the server: SIGHUP is its reload. Says what only a restart brings; `up` restarts for what it knows of. */
function sayReloaded(node: string): void {
  const query = "SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE pending_restart";
  const pending = ask(node, query);
  process.stdout.write(`${node} reloaded${pending === "" ? "" : `; needs a restart for ${pending}`}\n`);
}

runJob(title, configure);
