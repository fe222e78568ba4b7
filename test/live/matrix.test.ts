import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeSource, predictMatrix } from "../../components/access/matrix";
import { readMatrix } from "../../ops/access/read-matrix";
import { services } from "../../services/registry";
import { tierRole } from "../../services/service";
import { startTestServer, testPlan, type TestServer } from "../support/server";

const registry = services.map((service) => (service.code === "ag" ? { ...service, reads: ["gatherer"] } : service));
const plan = testPlan(registry);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  for (const { code, tables } of plan.services)
    await server.as(tierRole(code, "owner"), tables.map((name) => `CREATE TABLE ${name} (id bigint)`).join(";"));
});
afterAll(() => server.stop());

describe("the matrix of the catalogs", () => {
  it("is what the plan means", async () => {
    const { roles, access } = await readMatrix(plan, server.superuser);
    const predicted = predictMatrix(plan);
    expect(roles).toEqual(predicted.roles);
    expect(access).toEqual(predicted.access);
  });

  it("has a sentence for each", () => {
    const sentences = predictMatrix(plan).access.map(describeSource);
    expect(sentences).toContain(
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO aguser",
    );
  });
});
