import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import { services } from "../../services/registry";
import { pastTheGuard } from "../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// What an owner may legally make of its schema must not stop the platform, mislead its test, or run code as others.
const plan = testPlan(services.slice(0, 2));
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());

describe("an owner's odd objects", () => {
  it.each([
    [
      "a range type whose constructor shares its name with a procedure",
      "CREATE TYPE gt.r AS RANGE (subtype = int4); CREATE PROCEDURE gt.r(IN a int, OUT b int) LANGUAGE sql AS 'SELECT 1'",
    ],
    ["a default that cannot be computed", "CREATE TABLE gt_dz (id int DEFAULT 1/0)"],
    [
      "a default that never returns",
      "CREATE FUNCTION gt_forever() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END'; CREATE TABLE gt_tar (id int DEFAULT gt_forever())",
    ],
    [
      "a policy that never returns",
      "CREATE TABLE gt_rls (id int); ALTER TABLE gt_rls ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON gt_rls USING (id = gt_forever())",
    ],
    [
      "names full of quotes",
      `CREATE TABLE "gt_a'b""c\\;--" ("x') TABLE y" int); CREATE FUNCTION "f'"";"("a'" int) RETURNS int LANGUAGE sql RETURN 1`,
    ],
    ["an aggregate", "CREATE AGGREGATE gt_sum (int) (sfunc = int4pl, stype = int)"],
    [
      "functions named like those the platform uses",
      "CREATE FUNCTION starts_with(text, text) RETURNS boolean LANGUAGE sql RETURN true; CREATE FUNCTION aclexplode(aclitem[]) RETURNS int LANGUAGE sql RETURN 1",
    ],
  ])("%s: the plan is applied, the effect test is content and done in time", async (_, sql) => {
    await server.as("gtown", sql);
    await server.apply(plan);
    const started = Date.now();
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual([]);
    expect(Date.now() - started).toBeLessThan(60_000); // it would hang, not be slow
  });

  it("a rule from before the guard that does nothing instead: the effect test is content", async () => {
    await server.as("gtown", "CREATE TABLE gt_ro (id int)");
    await pastTheGuard(server, "gtown", "CREATE RULE nowrite AS ON INSERT TO gt.gt_ro DO INSTEAD NOTHING");
    await server.apply(plan);
    const { violations } = await testEffect(plan, server, server.superuser);
    expect(violations.map(describeViolation)).toEqual([]);
  });

  it("cannot move a terminal's cursor by their name", () => {
    const clear = String.fromCharCode(27);
    const violation = { role: "gtown", action: `SELECT on gt_${clear}[2J`, expected: "denied", got: "allowed" };
    expect(describeViolation(violation)).toBe("gtown: SELECT on gt_\\x1b[2J: expected denied, got allowed");
  });
});
