import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect, testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// The page's registry has no reads: give two services mutual ones, so that every kind of grant is in the plan.
const registry = services.map((service) =>
  service.name === "aggregator"
    ? { ...service, reads: ["gatherer", "ledger"] }
    : service.name === "gatherer"
      ? { ...service, reads: ["aggregator"] }
      : service,
);
const plan = testPlan(registry);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  // Roles and schemas without any right on objects: what is made now must get its rights from the grants.
  await server.apply({
    ...plan,
    grants: plan.grants.filter(({ on }) => on.type === "database" || on.type === "schema" || on.type === "language"),
    defaultPrivileges: [],
  });
  for (const { code } of registry) await server.as(`${code}own`, createProbes(code, "old"));
  await server.apply(plan);
  for (const { code } of registry) await server.as(`${code}own`, createProbes(code, "new"));
});
afterAll(() => server.stop());

describe("every role on every service", () => {
  it("can do what the plan says and nothing else, on objects made before and after the plan", async () => {
    const report = await testEffectOnProbes(plan, server, server.superuser);
    expect(report.violations.map(describeViolation)).toEqual([]);
    expect(report.attempts).toBeGreaterThan(36 * 12 * 60);
  });

  it("is found well by the test for servers with data, which leaves nothing behind", async () => {
    const before = await objects();
    const report = await testEffect(plan, server, server.superuser);
    expect(report.violations.map(describeViolation)).toEqual([]);
    expect(await objects()).toEqual(before);
  });
});

async function objects(): Promise<unknown[]> {
  const { rows } = await server.superuser.query<Record<string, unknown>>(
    "SELECT oid::regclass::text, relacl::text, relpages FROM pg_class WHERE relnamespace <> 11 ORDER BY 1",
  );
  return rows;
}
