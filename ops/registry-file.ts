import type { Settings } from "../components/settings-rules";
import type { Service } from "../services/service";
import { formatProblems, validateRegistry } from "../services/validate";
import { OperatorError } from "./operator-error";

/**
 * The registry, read when it is needed: a typing error in it is told as one, without a stack trace.
 * @throws OperatorError naming every problem of it
 */
export async function readRegistry({ maxConnections }: Pick<Settings, "maxConnections">): Promise<readonly Service[]> {
  const { services } = await import("../services/registry.js").catch((error: unknown) => {
    throw new OperatorError(
      `services/registry.ts cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  const problems = validateRegistry(services, maxConnections);
  if (problems.length > 0) throw new OperatorError(formatProblems(problems));
  return services;
}
