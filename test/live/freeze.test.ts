import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endSessions } from "../../components/access/end-sessions";
import { frozenRoles } from "../../components/access/plan-items";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

const registry = services
  .slice(0, 3)
  .map((service) => (service.name === "aggregator" ? { ...service, reads: ["gatherer"] } : service));
const active = testPlan(registry);
const frozen = testPlan(
  registry.map((service) => (service.name === "gatherer" ? { ...service, lifecycle: "frozen" as const } : service)),
);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(active);
  await server.apply(active);
  for (const { code } of registry) {
    for (const generation of ["old", "new"] as const) await server.as(`${code}own`, createProbes(code, generation));
  }
  await server.as("gtown", "CREATE TABLE gt_kept AS SELECT generate_series(1, 100) AS n");
});
afterAll(() => server.stop());

const effect = async (plan: typeof active) =>
  (await testEffectOnProbes(plan, server, server.superuser)).violations.map(describeViolation);

describe("a frozen service", () => {
  it("lets nobody log in, ends the sessions there are, keeps its data, and those who read them go on", async () => {
    const session = await server.session("gtapp");
    const other = await server.session("agapp");
    await server.apply(frozen);
    await endSessions(server.superuser, frozenRoles(frozen)); // on the primary the plan has ended them itself
    await expect(session.query("SELECT 1")).rejects.toThrow();
    expect((await other.query("SELECT FROM gt.gt_kept")).rowCount).toBe(100);
    await other.end();
    for (const tier of ["gtown", "gtapp", "gtuser"]) {
      await expect(server.as(tier, "SELECT 1")).rejects.toThrow(`role "${tier}" is not permitted to log in`);
    }
    expect(await effect(frozen)).toEqual([]);
  });

  it("is told by the effect test from one that is not", async () => {
    const asIfActive = await effect(active);
    expect(asIfActive).toContainEqual("gtapp: CONNECT to appdb: expected allowed, got denied");
    expect(asIfActive.every((line) => /^gt(own|app|user): /.test(line))).toBe(true);
  });

  it("comes back with everything it had", async () => {
    await server.apply(active);
    expect(await server.as("gtapp", "SELECT count(*)::int AS n FROM gt_kept")).toEqual([{ n: 100 }]);
    expect(await effect(active)).toEqual([]);
    const roles = ["gtown", "gtapp", "gtuser"];
    expect(await effect(frozen)).toEqual([
      ...roles.map((role) => `${role}: log in: expected denied, got allowed`),
      ...roles.map((role) => `${role}: attribute: expected NOLOGIN, got LOGIN`),
    ]);
  });

  it("does not end sessions while the server still lets its roles in", async () => {
    const session = await server.session("gtapp");
    const ending = endSessions(server.superuser, ["gtapp"]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await session.query("SELECT 1")).rowCount).toBe(1);
    await server.superuser.query("ALTER ROLE gtapp NOLOGIN");
    expect(await ending).toBe(1);
    await expect(session.query("SELECT 1")).rejects.toThrow();
  });
});
