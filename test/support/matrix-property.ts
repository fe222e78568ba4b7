import fc from "fast-check";
import { expect } from "vitest";
import { predictMatrix } from "../../components/access/matrix";
import { computeAccess } from "../../ops/access/compute";
import { readStackSettings } from "../../ops/stack-file";
import { registryArbitrary } from "./arbitrary";

/** For random registries, each on a server of its own, the catalogs say what the plan means. */
export async function expectPredictedMatrices(numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(registryArbitrary, async (registry) => {
      const { plan, matrix } = await computeAccess(registry, readStackSettings("dev"));
      expect(matrix).toEqual(predictMatrix(plan));
    }),
    { numRuns, endOnFailure: true },
  );
}
