import type { Service } from "../services/service";
import { OperatorError } from "./operator-error";

/** The registry, read when it is needed: a typing error in it is told as one, without a stack trace. */
export async function readRegistry(): Promise<readonly Service[]> {
  try {
    return (await import("../services/registry.js")).services;
  } catch (error) {
    throw new OperatorError(
      `services/registry.ts cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
