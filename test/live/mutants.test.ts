import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { effectOf } from "../support/effect-of";
import { findings } from "../support/findings";
import { mutants, mutatedPlan as plan, type Mutant } from "../support/mutants";
import { startTestServer, type TestServer } from "../support/server";

/** The first of every kind; all of them run nightly. */
const sample = [...new Map([...mutants(plan)].reverse().map((mutant) => [mutant.kind, mutant])).values()];
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());

describe("the effect test", () => {
  it("is content with the plan itself", async () => {
    expect(await effectOf(server, plan, plan)).toEqual([]);
  });

  it.each(sample.map((mutant): [string, Mutant] => [mutant.name, mutant]))("names a plan %s", async (_, mutant) => {
    const found = await findings(server, mutant, plan);
    expect(found.filter((line) => line.startsWith(mutant.concerns))).not.toEqual([]);
  });
});
