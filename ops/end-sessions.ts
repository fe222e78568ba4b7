import { readFileSync } from "node:fs";
import { containerState, docker } from "../components/cluster/docker-cli";
import { endSessionsScript } from "../components/cluster/node-script";
import { dockerNames, nodeNames } from "../components/naming";
import { tierRole, type Service, type Tier } from "../services/service";
import { OperatorError } from "./operator-error";
import type { Stack } from "./stack-file";

/**
 * Ends the sessions of a service's tiers on both servers, and says how many there were.
 * @param options.kill those that do not end, at which the server ends everybody's and recovers; without it they are an error
 * @throws OperatorError naming each server on which some go on
 */
export function endSessionsOfService(
  service: Service,
  tiers: readonly Tier[],
  { settings, dockerHost: host }: Stack,
  say: (text: string) => void,
  { kill = false }: { readonly kill?: boolean } = {},
): void {
  const names = dockerNames(settings.namePrefix);
  const roles = tiers.map((tier) => tierRole(service.code, tier));
  const input = readFileSync(endSessionsScript, "utf8");
  const goOn: string[] = [];
  for (const node of nodeNames) {
    const { container } = names[node];
    const state = containerState(container, host);
    if (state !== "running") {
      say(`${container} does not run (${state ?? "it does not exist"}) and has no sessions`);
      continue;
    }
    const script = [
      "exec",
      "--interactive",
      ...(kill ? ["--env", "KILL=1"] : []),
      container,
      "bash",
      "-s",
      "--",
      ...roles,
    ];
    const ended = docker(script, { input, host });
    if (ended.status !== 0) goOn.push(`sessions on ${container} go on: ${ended.stderr.trim()}`);
    else say(`${container}: ended ${ended.stdout.trim()} sessions of ${roles.join(", ")}`);
  }
  // Of what goes on, on one server, nothing follows for the other.
  if (goOn.length > 0) throw new OperatorError(goOn.join("\n"));
}
