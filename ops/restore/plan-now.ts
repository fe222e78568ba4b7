import { places, settingsFile, type AgentSettings } from "../../agent/settings";
import { planAccess } from "../../components/access/plan";
import type { Plan } from "../../components/access/plan-items";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { database } from "../../components/settings-rules";
import type { Stack } from "../stack-file";
import type { Platform } from "./platform";

type Registry = AgentSettings["registry"];

/** The registry of the last `up`, as JSON; undefined where the backup's container cannot be asked. */
export function appliedRegistry({ settings, dockerHost: host }: Stack): string | undefined {
  const { container } = dockerNames(settings.namePrefix).backup;
  const { status, stdout } = docker(["exec", container, "cat", settingsFile(places)], { host, timeoutMs: 20_000 });
  return status === 0 ? JSON.stringify((JSON.parse(stdout) as { readonly registry?: Registry }).registry) : undefined;
}

/**
 * The plan as it is at this moment: a restore takes as long as code of the service likes, and must not give back what `up` has taken away
 * meanwhile, a right of its to another's rows, or its logins.
 */
export function planNow({ stack, plan, applied }: Pick<Platform, "stack" | "plan" | "applied">): Plan {
  const now = appliedRegistry(stack);
  if (now === undefined || now === applied) return plan;
  const { services, extensions } = JSON.parse(now) as Registry;
  return planAccess(services, { database, extensions });
}
