import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connectionOf, inUrl, type Connection } from "../components/access/endpoints";
import { docker, dockerVariables } from "../components/cluster/docker-cli";
import { dockerNames } from "../components/naming";
import { database } from "../components/settings-rules";
import { didYouMean } from "../services/did-you-mean";
import { show } from "../services/printable";
import { tierRole, tiers, type Service, type Tier } from "../services/service";
import { OperatorError } from "./operator-error";
import { stackOutput } from "./pulumi-cli";
import { readPasswords, readPorts, sandboxEndpoints } from "./sandbox/credentials";
import { projectFolder, type Stack } from "./stack-file";

export type Format = "url" | "multi-host-url" | "env" | "json";

/** One service's tier, as a person names it. */
export interface Login {
  readonly service: Service;
  readonly tier: Tier;
}

/** @throws OperatorError for a name nobody has, with the one that may be meant */
export function findService<S extends Pick<Service, "name" | "code">>(services: readonly S[], name: string): S {
  const service = services.find((candidate) => candidate.name === name || candidate.code === name);
  if (service !== undefined) return service;
  const known = services.map((candidate) => candidate.name);
  throw new OperatorError(
    `unknown service ${show(name)}; known services are ${known.join(", ")}${didYouMean(name, known)}`,
  );
}

/** @throws OperatorError for what is no tier */
export function findTier(name: string): Tier {
  const tier = tiers.find((candidate) => candidate === name);
  if (tier !== undefined) return tier;
  throw new OperatorError(`unknown tier ${show(name)}; the tiers are ${tiers.join(", ")}${didYouMean(name, tiers)}`);
}

/** @throws OperatorError for a name nobody has, or a service nobody logs in to */
export function findLogin(services: readonly Service[], name: string, tier: string): Login {
  const service = findService(services, name);
  const found = findTier(tier);
  if (service.lifecycle === "frozen") {
    throw new OperatorError(`${service.name} is frozen, nobody logs in: services/registry.ts says so (lifecycle)`);
  }
  if (service.lifecycle === "retired") {
    throw new OperatorError(`${service.name} is retired, it has no roles: services/registry.ts says so (lifecycle)`);
  }
  return { service, tier: found };
}

/** How the login connects, from the stack's outputs. */
export function connectionOfStack({ service, tier }: Login, stack: Stack): Connection {
  const connections = stackOutput(stack.name, "connections") as Partial<
    Record<string, Partial<Record<string, Connection>>>
  >;
  const connection = connections[service.name]?.[tier];
  if (connection === undefined) {
    throw new OperatorError(`stack ${stack.name} does not have ${service.name} yet: npm run up -- ${stack.name}`);
  }
  return connection;
}

/**
 * The connection with the file that verifies the server, which is written: the servers want an encrypted login, and a driver
 * wants a path. The URLs of a container on the private network stay without, for it has files of its own.
 */
export function withAuthority(connection: Connection, stack: Stack): Connection & { readonly sslrootcert?: string } {
  if (connection.sslmode !== "verify-full") return connection;
  const sslrootcert = join(projectFolder, ".certificates", `${stack.name}.crt`);
  mkdirSync(dirname(sslrootcert), { recursive: true });
  writeFileSync(sslrootcert, String(stackOutput(stack.name, "caCertificate")));
  return verifiedBy(connection, sslrootcert);
}

/** The connection with the path of the authority's certificate. */
export function verifiedBy(connection: Connection, sslrootcert: string): Connection & { readonly sslrootcert: string } {
  const verified = (url: string) => `${url}&sslrootcert=${inUrl(sslrootcert)}`;
  return {
    ...connection,
    sslrootcert,
    url: verified(connection.url),
    multiHostUrl: verified(connection.multiHostUrl),
  };
}

/** How the login connects to the sandbox, from the file `npm start` has written. */
export function connectionOfSandbox({ service, tier }: Login, credentialsFile: string): Connection {
  const role = tierRole(service.code, tier);
  const password = readPasswords(credentialsFile).get(role);
  const ports = readPorts(credentialsFile);
  if (password === undefined || ports === undefined) {
    throw new OperatorError(`${credentialsFile} has no password of ${role}: npm start makes it`);
  }
  return connectionOf(role, tier, password, sandboxEndpoints(ports));
}

/** What the command prints; `network` is the view of a container on the private network. */
export function formatConnection(
  connection: Connection & { readonly sslrootcert?: string },
  format: Format,
  network: boolean,
): string {
  const { host, port, url, multiHostUrl } = network ? connection.network : connection;
  const { user, password, sslmode, sslrootcert } = connection;
  switch (format) {
    case "url":
      return url;
    case "multi-host-url":
      return multiHostUrl;
    case "env":
      // libpq's variables and the one most frameworks read, for a shell and for dotenv alike.
      return [
        `PGHOST=${host}`,
        `PGPORT=${port}`,
        `PGDATABASE=${connection.database}`,
        `PGUSER=${user}`,
        `PGPASSWORD=${password}`,
        ...(sslmode === "prefer" ? [] : [`PGSSLMODE=${sslmode}`]),
        ...(sslrootcert === undefined || network ? [] : [`PGSSLROOTCERT='${sslrootcert.replaceAll("'", "'\\''")}'`]),
        `DATABASE_URL='${url}'`,
      ].join("\n");
    case "json":
      return JSON.stringify(connection, null, 2);
  }
}

/** Opens psql as the login in the primary's container, where the system user is asked and no password; its exit status. */
export function openPsql({ service, tier }: Login, { name, settings, dockerHost }: Stack): number {
  const container = dockerNames(settings.namePrefix)[settings.primaryNode].container;
  const running = docker(["inspect", "--format", "{{.State.Running}}", container], { host: dockerHost }).stdout.trim();
  if (running !== "true") {
    throw new OperatorError(`${container}, the primary of stack ${name}, does not run: see npm run ops -- status`);
  }
  const terminal = process.stdin.isTTY ? ["--interactive", "--tty"] : ["--interactive"];
  const { status, error } = spawnSync(
    "docker",
    ["exec", ...terminal, container, "psql", "-U", tierRole(service.code, tier), "-d", database],
    { stdio: "inherit", env: { ...process.env, ...dockerVariables(dockerHost) } },
  );
  if (error) throw new OperatorError(`the docker command does not run: ${error.message}`);
  return status ?? 130;
}
