import { afterAll, beforeAll, expect, it } from "vitest";
import { services } from "../../services/registry";
import { findings } from "../support/findings";
import { mutants, type Mutant } from "../support/mutants";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// All of them, on three services that read each other in every way: what the live ring does with one of every kind.
const plan = testPlan([
  ...services.slice(0, 1).map((service) => ({ ...service, reads: ["aggregator"] })),
  ...services.slice(1, 2).map((service) => ({ ...service, reads: ["gatherer"] })),
  ...services.slice(2, 3),
]);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());

it.each(mutants(plan).map((mutant): [string, Mutant] => [mutant.name, mutant]))(
  "the effect test names a plan %s",
  async (_, mutant) => {
    const found = await findings(server, mutant, plan);
    expect(found.filter((line) => line.includes(mutant.concerns))).not.toEqual([]);
  },
);
