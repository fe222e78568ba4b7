import { afterAll, beforeAll, expect, it } from "vitest";
import { findings } from "../support/findings";
import { mutants, mutatedPlan as plan, type Mutant } from "../support/mutants";
import { startTestServer, type TestServer } from "../support/server";

// All of them: what the live ring does with one of every kind.
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());

it.each(mutants(plan).map((mutant): [string, Mutant] => [mutant.name, mutant]))(
  "the effect test and the audit name a plan %s",
  async (_, mutant) => {
    const { byEffectTest, byAudit } = await findings(server, mutant, plan);
    expect(byEffectTest.filter((line) => line.startsWith(mutant.concerns))).not.toEqual([]);
    expect(byAudit.filter((line) => line.startsWith(mutant.concerns))).not.toEqual([]);
  },
);
