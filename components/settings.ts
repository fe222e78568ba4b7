import * as pulumi from "@pulumi/pulumi";
import { memoryDemand, memoryWarning } from "./cluster/configuration/memory-demand";
import { formatProblems, validateRegistry } from "../services/validate";
import type { Service } from "../services/service";
import { planAccess } from "./access/plan";
import type { Plan } from "./access/plan-items";
import { database, parseSettings, type Settings } from "./settings-rules";

/**
 * Reads the stack's configuration; the only place that does.
 * @throws pulumi.RunError naming every bad value, before any resource is planned
 */
export function readSettings(): Settings {
  const config = new pulumi.Config();
  const prefix = `${config.name}:`;
  const given = Object.keys(pulumi.runtime.allConfig()).filter((key) => key.startsWith(prefix));
  const settings = parseSettings(
    // As text, secret or not: config.get warns of a secret.
    (key) => pulumi.runtime.getConfig(prefix + key),
    given.map((key) => key.slice(prefix.length)),
  );
  if ("length" in settings) {
    const lines = settings.map(({ path, message }) => `  ${path}: ${message}`);
    throw new pulumi.RunError(["the stack's configuration cannot be used:", ...lines].join("\n"));
  }
  return Object.freeze(settings);
}

/**
 * The plan of a registry under these settings.
 * @throws pulumi.RunError naming every problem of the registry, before any resource is planned
 */
export function planOrRefuse(services: readonly Service[], settings: Settings): Plan {
  const problems = validateRegistry(services, settings.maxConnections);
  if (problems.length > 0) throw new pulumi.RunError(formatProblems(problems));
  const warning = memoryWarning(memoryDemand(settings, services));
  if (warning !== undefined) void pulumi.log.warn(warning);
  return planAccess(services, { database, extensions: settings.extensions });
}

/** The Docker host of the provider's configuration, if it names one: what runs beside the provider asks the same. */
export function readDockerHost(): string | undefined {
  return new pulumi.Config("docker").get("host");
}
