import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { audit } from "../../ops/audit/audit";
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

describe("the effect test, and the audit,", () => {
  it("are content with the plan itself", async () => {
    expect(await effectOf(server, plan, plan)).toEqual([]);
    expect(await audit(plan, server.superuser, server)).toEqual([]);
  });

  it.each(sample.map((mutant): [string, Mutant] => [mutant.name, mutant]))("name a plan %s", async (_, mutant) => {
    const { byEffectTest, byAudit } = await findings(server, mutant, plan);
    expect(byEffectTest.filter((line) => line.startsWith(mutant.concerns))).not.toEqual([]);
    expect(byAudit.filter((line) => line.startsWith(mutant.concerns))).not.toEqual([]);
  });
});
