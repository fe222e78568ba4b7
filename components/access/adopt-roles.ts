import * as pulumi from "@pulumi/pulumi";
import { docker } from "../cluster/docker-cli";
import { dockerNames } from "../naming";
import type { Settings } from "../settings-rules";
import { roleType, type OwnState } from "../lifecycle/state";
import { carriedBy, superuserRole, type Plan } from "./plan-items";

export interface AdoptRolesArgs {
  readonly plan: Plan;
  readonly settings: Settings;
  readonly state: OwnState;
  readonly dockerHost: string | undefined;
  /** Known when the primary answers. */
  readonly ready: pulumi.Output<unknown>;
}

/**
 * The roles of services that the server has and the state does not (a lost state, an `up` that was killed): to create them
 * would fail, they are to be imported, and become what the plan says in the same update. A preview does not wait for the
 * server and shows them as created.
 * @throws pulumi.RunError where the server cannot be asked
 */
export async function adoptRoles(args: AdoptRolesArgs): Promise<ReadonlySet<string>> {
  const { plan, settings, state, dockerHost, ready } = args;
  const known = new Set(state.filter(({ type }) => type === roleType).map(({ called }) => called));
  const unknown = carriedBy(plan, "provider")
    .roles.map(({ name }) => name)
    .filter((name) => !known.has(name));
  if (unknown.length === 0 || pulumi.runtime.isDryRun()) return new Set();
  await new Promise((resolve) => ready.apply(resolve)); // in an update every output gets a value, or the program ends

  const primary = dockerNames(settings.namePrefix)[settings.primaryNode].container;
  const query = ["psql", "-XAt", "-U", superuserRole, "-d", plan.database, "-c", "SELECT rolname FROM pg_roles"];
  const { status, stdout, stderr } = docker(["exec", primary, ...query], { host: dockerHost });
  if (status !== 0) throw new pulumi.RunError(`${primary} cannot be asked for its roles: ${stderr.trim()}`);
  const existing = stdout.split("\n");
  const adopted = unknown.filter((name) => existing.includes(name));
  if (adopted.length > 0) {
    void pulumi.log.warn(`the server has roles this stack's state does not know; up takes over ${adopted.join(", ")}`);
  }
  return new Set(adopted);
}
