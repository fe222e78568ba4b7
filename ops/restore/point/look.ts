import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Told, Shown } from "../../../agent/restore/recover";
import { agentFile } from "../../../components/backup/agent-file";
import { dataMount } from "../../../components/backup/restore-files";
import { docker, dockerVariables } from "../../../components/cluster/docker-cli";
import { stackLabel } from "../../../components/cluster/labels";
import { limitsAsOptions, limitsOf } from "../../../components/cluster/limits";
import { dockerNames } from "../../../components/naming";
import { printable } from "../../../services/printable";
import { OperatorError } from "../../operator-error";
import { containerOf, lookContainer, type RestorePlace } from "./place";

/** Longer than the shutdown's checkpoint takes; as a node's. */
const stopSeconds = 300;

/**
 * Starts the container a restore is made and looked at in; one that is there is started again, and goes on.
 * @param port on 127.0.0.1; undefined: one that is free; none: nobody reaches it
 */
export function startLook(place: RestorePlace, target: readonly string[], port: number | "none" | undefined): void {
  const { stack, image } = place;
  const host = { host: stack.dockerHost };
  const names = dockerNames(stack.settings.namePrefix);
  const name = lookContainer(place);
  const exists = hasLook(place);
  const run = [
    ...["run", "--detach", "--init", "--name", name, "--user", "postgres"],
    ...(port === "none" ? ["--network", "none"] : ["--network", names.network]),
    ...(port === "none" ? [] : ["--publish", `127.0.0.1:${port ?? ""}:5432`]),
    ...["--label", `${stackLabel}=${stack.name}`, "--stop-timeout", String(stopSeconds)],
    ...limitsAsOptions(limitsOf(stack.settings.memoryMiB)),
    ...["--env", "PGHOST=/var/run/postgresql"],
    ...["--volume", `${names[place.node].volume}:${dataMount}`, "--volume", `${names.backup.volume}:/backups:ro`],
    ...["--volume", `${names.configVolume}:/etc/centraldb:ro`],
    ...["--entrypoint", "node", image, agentFile, "recover", containerOf(place), ...target],
  ];
  const { status, stderr } = docker(exists ? ["start", name] : run, host);
  if (status === 0) return;
  if (!exists) docker(["rm", "--force", "--volumes", name], host);
  throw new OperatorError(`${name} does not start: ${printable(stderr.trim())}`);
}

/** Whether the container is there. */
export function hasLook(place: RestorePlace): boolean {
  return (
    docker(["inspect", "--type", "container", lookContainer(place)], { host: place.stack.dockerHost }).status === 0
  );
}

/** From now on nobody gets in but by `docker exec`: what is no longer read-only has the passwords of then. */
export function isolateLook(place: RestorePlace): void {
  const { settings, dockerHost } = place.stack;
  const leave = ["network", "disconnect", "--force", dockerNames(settings.namePrefix).network, lookContainer(place)];
  const { status, stderr } = docker(leave, { host: dockerHost });
  if (status !== 0 && !stderr.includes("is not connected")) throw new OperatorError(printable(stderr.trim()));
}

/** A restore that cannot reach its target, however often it is tried. */
export class VainRestore extends OperatorError {}

/**
 * Passes on what it prints until it can be looked at.
 * @throws VainRestore with its reason where it has failed; OperatorError where it was ended, and would go on
 */
export async function followLook(place: RestorePlace, say: (line: string) => void): Promise<Shown> {
  const { dockerHost } = place.stack;
  const name = lookContainer(place);
  const started = docker(["inspect", "--format", "{{.State.StartedAt}}", name], { host: dockerHost }).stdout.trim();
  const logs = spawn("docker", ["logs", "--follow", "--since", started, name], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...dockerVariables(dockerHost) },
  });
  const closed = new Promise((resolve) => logs.once("close", resolve));
  const errors: string[] = [];
  createInterface({ input: logs.stderr }).on("line", (line) => {
    errors.push(line);
    if (errors.length > 1 + keptErrors) errors.splice(1, 1);
  });
  try {
    for await (const line of createInterface({ input: logs.stdout })) {
      if (!line.startsWith("{")) {
        say(printable(line));
        continue;
      }
      const told = JSON.parse(line) as Told;
      if ("failed" in told) throw new VainRestore(printable(told.failed));
      return told;
    }
  } finally {
    logs.kill();
  }
  await closed;
  throw endedBecause(name, errors);
}

/** Lines of the last words of one that has ended. */
const keptErrors = 3;

/**
 * Why a restore's container has ended that has told nothing of itself.
 * @param errors the first line of its standard error since it was started, and the last ones
 */
export function endedBecause(name: string, errors: readonly string[]): OperatorError {
  // Only its first line is the agent's own: behind that is the server's log, in which names of logins may stand on lines of their own.
  if (errors[0] === "error: unknown command 'recover'") {
    return new VainRestore("the backup's image is older than this program: npm run up");
  }
  const last = errors.slice(-keptErrors).join("\n").trim();
  return new OperatorError(`${name} has ended; the same command goes on with it: ${printable(last)}`);
}

/** `127.0.0.1:49153` */
export function addressOf(place: RestorePlace): string {
  return (
    docker(["port", lookContainer(place), "5432"], { host: place.stack.dockerHost })
      .stdout.trim()
      .split("\n")[0] ?? ""
  );
}

/** Statements of the superuser, on its socket; what they gave. */
export function askLook(place: RestorePlace, database: string, sql: string): string {
  const psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-"];
  const { status, stdout, stderr } = docker(["exec", "--interactive", lookContainer(place), ...psql], {
    input: sql,
    host: place.stack.dockerHost,
  });
  if (status !== 0) throw new OperatorError(`${lookContainer(place)}: ${printable(stderr.trim())}`);
  return stdout.trim();
}

/** A file of the container. */
export function readFromLook(place: RestorePlace, file: string): string {
  const { status, stdout, stderr } = docker(["exec", lookContainer(place), "cat", file], {
    host: place.stack.dockerHost,
  });
  if (status !== 0) throw new OperatorError(`${lookContainer(place)}: ${printable(stderr.trim())}`);
  return stdout;
}

/** Ends its server cleanly. */
export function stopLook(place: RestorePlace): void {
  const { status, stderr } = docker(["stop", lookContainer(place)], { host: place.stack.dockerHost });
  if (status !== 0) throw new OperatorError(`${lookContainer(place)} does not stop: ${printable(stderr.trim())}`);
}

/** Stops it cleanly first: what is in the volume may be needed. One that is not there is no mistake. */
export function removeLook(place: RestorePlace): void {
  const name = lookContainer(place);
  const host = { host: place.stack.dockerHost };
  docker(["stop", name], host);
  const { status, stderr } = docker(["rm", "--force", "--volumes", name], host);
  if (status !== 0 && !/No such container/i.test(stderr)) throw new OperatorError(`${name} stays: ${stderr.trim()}`);
}
