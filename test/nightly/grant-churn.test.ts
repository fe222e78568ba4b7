import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { prepareStack, type TestStack } from "../support/stack";

// Two grants on one schema at the same time fail with "tuple concurrently updated", but only where tables exist: an
// install test passes and day two fails. Every service reads two others, or none, with 20 tables in each schema.
const reading: readonly Service[] = services.map((service, index) => ({
  ...service,
  reads: [1, 5].map((step) => services[(index + step) % services.length]?.name ?? ""),
}));
const repeats = 20;
let stack: TestStack;

beforeAll(async () => {
  stack = await prepareStack();
  expect(stack.up("--skip-preview").status).toBe(0);
  const superuser = await stack.superuser();
  for (const { code } of services) {
    const tables = Array.from({ length: 20 }, (_, index) => `CREATE TABLE ${code}_t${index} (id serial PRIMARY KEY);`);
    await superuser.query(`SET ROLE ${code}own; SET search_path = ${code}; ${tables.join(" ")} RESET ROLE`);
  }
  await superuser.end();
});
afterAll(() => {
  stack.pulumi("destroy", "--yes", "--skip-preview");
  stack.clean();
});

describe.each([8, 32])("grants added and removed at parallel %i", (parallel) => {
  it(`never fail in ${repeats} repeats`, () => {
    const failures: string[] = [];
    for (let repeat = 1; repeat <= repeats; repeat++) {
      for (const registry of [reading, services]) {
        stack.setRegistry(registry);
        const { status, output } = stack.up("--skip-preview", "--parallel", String(parallel));
        if (status !== 0) failures.push(`repeat ${repeat}: ${output.slice(-2000)}`);
      }
    }
    expect(failures).toEqual([]);
    expect(stack.pulumi("preview", "--refresh", "--expect-no-changes").status).toBe(0);
  });
});
