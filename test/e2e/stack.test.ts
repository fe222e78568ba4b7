import { execFileSync, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect, testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { testPlan } from "../support/server";
import type { Ran } from "../support/run";
import { prepareStack, type TestStack } from "../support/stack";

// One stack, from nothing to nothing; each step stands on the one before.
let stack: TestStack;
beforeAll(async () => {
  stack = await prepareStack({ "centraldb:extensions": ["citext"] });
});
afterAll(() => stack.clean());

const appended: readonly Service[] = [
  ...services,
  { name: "archivist", code: "ar", purpose: "Keeps what others made.", tables: ["ar_files"], reads: ["gatherer"] },
];

function ok({ status, output }: Ran): string {
  if (status !== 0) throw new Error(output);
  return output;
}

/** Names of the resources a preview would change. */
function changes(): string[] {
  const { stdout } = stack.pulumi("preview", "--json", "--stack", "dev");
  const { steps } = JSON.parse(stdout) as { steps: readonly { op: string; urn: string }[] };
  return steps.filter(({ op }) => op !== "same").map(({ op, urn }) => `${op} ${urn.split("::").at(-1) ?? ""}`);
}

async function violations(registry: readonly Service[], test: typeof testEffect): Promise<string[]> {
  const superuser = await stack.superuser();
  try {
    const report = await test(testPlan(registry), stack.logins(registry), superuser);
    expect(report.attempts).toBeGreaterThan(4000);
    return report.violations.map(describeViolation);
  } finally {
    await superuser.end();
  }
}

async function asSuperuser<T>(work: (superuser: Client) => Promise<T>): Promise<T> {
  const superuser = await stack.superuser();
  try {
    return await work(superuser);
  } finally {
    await superuser.end();
  }
}

async function makeProbes(registry: readonly Service[], generation: "old" | "new"): Promise<void> {
  await asSuperuser(async (superuser) => {
    for (const { code } of registry) {
      await superuser.query(
        `SET ROLE ${code}own; SET search_path = ${code}; ${createProbes(code, generation)}; RESET ROLE`,
      );
    }
  });
}

describe("a real pulumi up", () => {
  it("refuses a bad registry and bad configuration with every problem and no stack trace, before anything is planned", () => {
    stack.setRegistry([...services, { name: "x", code: "gt", purpose: "Bad.", tables: [], reads: ["ledgr"] }]);
    const registry = stack.up();
    expect(registry.status).not.toBe(0);
    expect(registry.output).toContain('services.x.code: duplicate code "gt"; services.gatherer has it already');
    expect(registry.output).toContain('did you mean "ledger"?');
    expect(registry.output).not.toMatch(/^\s+at /m);
    expect(registry.output).not.toContain("docker:index");
    stack.setRegistry(services);

    stack.setConfig("centraldb:maxConnections", 5);
    const configuration = stack.up();
    expect(configuration.status).not.toBe(0);
    expect(configuration.output).toContain(
      'centraldb:maxConnections: expected a whole number from 25 to 10000, got "5"',
    );
    stack.setConfig("centraldb:maxConnections", 200);
  });

  it("previews with nothing running, and brings everything up", () => {
    ok(stack.pulumi("preview", "--stack", "dev"));
    ok(stack.up("--skip-preview"));
    expect(statSync(join(stack.folder, ".pulumi-state", "passphrase")).mode & 0o777).toBe(0o600);
  });

  it("changes nothing the second time, and finds no drift", () => {
    ok(stack.up("--skip-preview", "--expect-no-changes"));
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", "dev"));
  });

  it("gives every tier of every service what the plan says, by effect", async () => {
    expect(await violations(services, testEffect)).toEqual([]);
    await makeProbes(services, "old");
    await makeProbes(services, "new");
    expect(await violations(services, testEffectOnProbes)).toEqual([]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", "dev"));
  });

  it("shows no password in the state, the container's configuration or the server's log", async () => {
    const passwords = [...stack.logins(services).passwords.values()];
    const docker = (command: string) =>
      spawnSync("sh", ["-c", `docker ${command} 2>&1`], { encoding: "utf8", maxBuffer: 1 << 28 }).stdout;
    const log = docker(`logs ${stack.prefix}-primary`);
    expect(log).toContain("database system is ready to accept connections");
    const shown = [stack.state(), docker(`inspect ${stack.prefix}-primary`), log];
    expect(passwords).toHaveLength(36);
    expect(passwords.filter((password) => shown.some((text) => text.includes(password)))).toEqual([]);
    // What is stored of a password is a verifier; the state holds ciphertext only.
    const verifiers = await asSuperuser(async (superuser) => {
      const { rows } = await superuser.query<{ rolpassword: string }>(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'gtown'",
      );
      return rows.map(({ rolpassword }) => rolpassword);
    });
    expect(verifiers).toEqual([expect.stringMatching(/^SCRAM-SHA-256\$/)]);
    expect(stack.state()).not.toContain(verifiers[0]);
  });

  it("touches only a new service's own resources and what it reads, and gives it rights on objects that exist", async () => {
    stack.setRegistry(appended);
    const changed = changes().filter(
      (line) =>
        !/ (archivist|reads)(-|$)/.test(line) && line !== "update tiers-apply" && !line.endsWith("centraldb-dev"),
    );
    expect(changed).toEqual([]);
    expect(changes()).toHaveLength(22 + 10 + 1);
    ok(stack.up("--skip-preview"));
    await makeProbes(appended.slice(-1), "old");
    await makeProbes(appended.slice(-1), "new");
    expect(await violations(appended, testEffectOnProbes)).toEqual([]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", "dev"));
  });

  it("fails with PostgreSQL's message when the platform SQL fails, and tries again with the next up", async () => {
    stack.setConfig("centraldb:extensions", ["citext", "no_such_extension"]);
    for (const attempt of [1, 2]) {
      const { status, output } = stack.up("--skip-preview");
      expect(status, `attempt ${attempt}`).not.toBe(0);
      expect(output).toContain('platform SQL: ERROR: extension "no_such_extension" is not available');
    }
    stack.setConfig("centraldb:extensions", ["citext", "pg_trgm"]);
    ok(stack.up("--skip-preview"));
    const installed = await asSuperuser(async (superuser) => {
      const { rows } = await superuser.query<{ name: string }>(
        "SELECT extname AS name FROM pg_extension WHERE extnamespace = 'extensions'::regnamespace ORDER BY 1",
      );
      return rows.map(({ name }) => name);
    });
    expect(installed).toEqual(["citext", "pg_trgm"]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", "dev"));
  });

  it("is removed by destroy without a trace, and starts clean again", async () => {
    ok(stack.pulumi("destroy", "--yes", "--skip-preview", "--stack", "dev"));
    const left = [
      ["ps", "-a", "--format", "{{.Names}}"],
      ["volume", "ls", "--format", "{{.Name}}"],
      ["network", "ls", "--format", "{{.Name}}"],
    ].map((list) => execFileSync("docker", list, { encoding: "utf8" }));
    expect(left.filter((names) => names.includes(stack.prefix))).toEqual([]);
    stack.setRegistry(services);
    ok(stack.up("--skip-preview"));
    const tables = await asSuperuser(async (superuser) => {
      const { rows } = await superuser.query("SELECT FROM pg_class WHERE relname LIKE '%probe%'");
      return rows.length;
    });
    expect(tables).toBe(0);
    expect(await violations(services, testEffect)).toEqual([]);
  });
});
