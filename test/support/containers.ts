import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContainerArgs } from "@pulumi/docker";
import { run, type Ran } from "./run";

type Plain<T> = { readonly [Key in keyof T]?: unknown };
type Inputs = Plain<ContainerArgs>;

/** What each input of a container means to `docker create`. An input that is not here is an error: the ring must not test less than the program declares. */
const flags: { readonly [Key in keyof ContainerArgs]?: (value: never) => readonly string[] } = {
  name: (name: string) => ["--name", name],
  user: (user: string) => ["--user", user],
  entrypoints: ([first]: readonly string[]) => ["--entrypoint", first ?? ""],
  envs: (envs: readonly string[]) => envs.flatMap((env) => ["--env", env]),
  volumes: (
    volumes: readonly { volumeName?: string; hostPath?: string; containerPath: string; readOnly?: boolean }[],
  ) =>
    volumes.flatMap(({ volumeName, hostPath, containerPath, readOnly }) => [
      "--volume",
      `${volumeName ?? hostPath ?? ""}:${containerPath}${readOnly === true ? ":ro" : ""}`,
    ]),
  networksAdvanced: ([network]: readonly { name: string; aliases: readonly string[] }[]) => [
    ...["--network", network?.name ?? ""],
    ...(network?.aliases ?? []).flatMap((alias) => ["--network-alias", alias]),
  ],
  ports: (ports: readonly { internal: number; external: number; ip: string }[]) =>
    ports.flatMap(({ internal, external, ip }) => ["--publish", `${ip}:${external}:${internal}`]),
  labels: (labels: readonly { label: string; value: string }[]) =>
    labels.flatMap(({ label, value }) => ["--label", `${label}=${value}`]),
  memory: (mebibytes: number) => ["--memory", `${mebibytes}m`],
  memorySwap: (mebibytes: number) => ["--memory-swap", `${mebibytes}m`],
  shmSize: (mebibytes: number) => ["--shm-size", `${mebibytes}m`],
  networkMode: (mode: string) => ["--network", mode],
  capabilities: ({ drops }: { drops: readonly string[] }) => drops.flatMap((drop) => ["--cap-drop", drop]),
  securityOpts: (options: readonly string[]) => options.flatMap((option) => ["--security-opt", option]),
  init: (init: boolean) => (init ? ["--init"] : []),
  cpuShares: (shares: number) => ["--cpu-shares", String(shares)],
  ulimits: (limits: readonly { name: string; soft: number; hard: number }[]) =>
    limits.flatMap(({ name, soft, hard }) => ["--ulimit", `${name}=${soft}:${hard}`]),
  restart: (restart: string) => ["--restart", restart],
  logDriver: (driver: string) => ["--log-driver", driver],
  logOpts: (options: Readonly<Record<string, string>>) =>
    Object.entries(options).flatMap(([key, value]) => ["--log-opt", `${key}=${value}`]),
  healthcheck: (check: {
    tests: readonly string[];
    interval: string;
    timeout: string;
    retries: number;
    startPeriod: string;
  }) => [
    ...["--health-cmd", check.tests.slice(1).join(" "), "--health-interval", check.interval],
    ...["--health-timeout", check.timeout, "--health-retries", String(check.retries)],
    ...["--health-start-period", check.startPeriod],
  ],
  stopTimeout: (seconds: number) => ["--stop-timeout", String(seconds)],
  stopSignal: (signal: string) => ["--stop-signal", signal],
  // Not of the container itself: see below, and what only the provider's state knows.
  image: () => [],
  uploads: () => [],
  destroyGraceSeconds: () => [],
  wait: () => [],
};

/** Creates and starts a container as the docker provider would. */
export function createContainer(inputs: Inputs): Ran {
  const options = Object.entries(inputs).flatMap(([key, value]) => {
    const flag = flags[key as keyof ContainerArgs] as ((value: unknown) => readonly string[]) | undefined;
    if (flag === undefined) throw new Error(`the docker ring does not know the container input ${key}`);
    return flag(value);
  });
  const [, ...command] = inputs.entrypoints as readonly string[];
  const name = String(inputs.name);
  const created = run("docker", ["create", ...options, String(inputs.image), ...command]);
  if (created.status !== 0) return created;
  const folder = mkdtempSync(join(tmpdir(), "centraldb-upload-"));
  for (const { file, content } of (inputs.uploads ?? []) as readonly { file: string; content: string }[]) {
    const source = join(folder, "content");
    writeFileSync(source, content, { mode: 0o755 });
    run("docker", ["cp", source, `${name}:${file}`]);
  }
  rmSync(folder, { recursive: true });
  return run("docker", ["start", name]);
}

/** Stops and removes it, as the provider does before it creates the next one. */
export function removeContainer(inputs: Inputs): void {
  run("docker", ["stop", "--time", String(inputs.destroyGraceSeconds), String(inputs.name)]);
  run("docker", ["rm", "--volumes", String(inputs.name)]);
}
