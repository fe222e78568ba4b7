import { readFileSync } from "node:fs";
import { join } from "node:path";
import { endSessionsSql } from "../components/access/end-sessions";
import { docker, type DockerRun } from "../components/cluster/docker-cli";
import { dockerNames, nodeNames } from "../components/naming";
import { database } from "../components/settings-rules";
import { tierRole, type Service, type Tier } from "../services/service";
import { OperatorError } from "./operator-error";
import type { Stack } from "./stack-file";

/**
 * Ends the sessions of a service's tiers on both servers, and says how many there were.
 * @throws OperatorError where a server that runs does not do it
 */
export function endSessionsOfService(
  service: Service,
  tiers: readonly Tier[],
  { settings, dockerHost }: Stack,
  say: (text: string) => void,
): void {
  const names = dockerNames(settings.namePrefix);
  const roles = tiers.map((tier) => tierRole(service.code, tier));
  const input = `${endSessionsSql.trimEnd().replace(/;$/, "")} \\bind '{${roles.join()}}' \\g\n`;
  for (const node of nodeNames) {
    const { container } = names[node];
    const state = docker(["inspect", "--type", "container", "--format", "{{.State.Status}}", container], {
      host: dockerHost,
    }).stdout.trim();
    if (state !== "running") {
      say(`${container} does not run (${state || "it does not exist"}) and has no sessions`);
      continue;
    }
    const psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-"];
    const asked = docker(["exec", "--interactive", container, ...psql], { input, host: dockerHost });
    const why = asked.stderr.trim().split("\n")[0] ?? "";
    // Who fills the lock table keeps everybody out.
    const ended = asked.status === 0 ? asked : byProcessTitle(container, roles, dockerHost);
    if (ended.status !== 0) throw new OperatorError(`sessions on ${container} may go on: ${why}`);
    if (asked.status !== 0) say(`${container} lets nobody in (${why}): processes were asked to end`);
    say(`${container}: ended ${ended.stdout.trim()} sessions of ${roles.join(", ")}`);
  }
}

function byProcessTitle(container: string, roles: readonly string[], host: string | undefined): DockerRun {
  const input = readFileSync(join(__dirname, "end-sessions.sh"), "utf8");
  return docker(["exec", "--interactive", container, "bash", "-s", "--", ...roles], { input, host });
}
