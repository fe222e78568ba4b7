import { endSessionsSql } from "../components/access/end-sessions";
import { docker } from "../components/cluster/docker-cli";
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
    const { status, stdout, stderr } = docker(["exec", "--interactive", container, ...psql], {
      input,
      host: dockerHost,
    });
    if (status !== 0) throw new OperatorError(`sessions on ${container} may go on: ${stderr.trim()}`);
    say(`${container}: ended ${stdout.trim()} sessions of ${roles.join(", ")}`);
  }
}
