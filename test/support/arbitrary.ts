import fc from "fast-check";
import { reservedReason } from "../../services/reserved-names";
import { tierRole, tiers, type Service } from "../../services/service";

const code = fc
  .array(fc.constantFrom(...Array.from("abcdefghijklmnopqrstuvwxyz")), { minLength: 2, maxLength: 8 })
  .map((letters) => letters.join(""))
  .filter((candidate) => reservedReason(candidate) === undefined);

/** Registries that validateRegistry accepts, with up to eight services that read each other. */
export const registryArbitrary: fc.Arbitrary<readonly Service[]> = fc
  .uniqueArray(code, { minLength: 1, maxLength: 8 })
  .filter((codes) => !codes.some((a) => codes.some((b) => tiers.some((tier) => tierRole(a, tier) === b))))
  .chain((codes) =>
    fc.tuple(
      ...codes.map((own) =>
        fc.record({
          name: fc.constant(`service-${own}`),
          code: fc.constant(own),
          purpose: fc.constant("One of many."),
          tables: fc.subarray([`${own}_table`, `${own}_more`]),
          connectionLimits: fc.record(
            {
              owner: fc.integer({ min: 1, max: 9 }),
              app: fc.integer({ min: 1, max: 99 }),
              user: fc.integer({ min: 1, max: 9 }),
            },
            { requiredKeys: [] },
          ),
          statementTimeoutSeconds: fc.integer({ min: 1, max: 3600 }),
          tempFileLimitMiB: fc.integer({ min: 1, max: 100_000 }),
          lifecycle: fc.constantFrom("active" as const, "frozen" as const),
          reads: fc.subarray(codes.filter((other) => other !== own).map((other) => `service-${other}`)),
        }),
      ),
    ),
  );
