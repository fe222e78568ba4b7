import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import type { Ran } from "../support/run";
import { testPlan } from "../support/server";
import { prepareStack, type TestStack } from "../support/stack";

// The end of a service, and its way back, each step as a person takes it.
const rows = 1000;
const few = services.slice(0, 4);
const ledgerIs = (changes: Partial<Service>): readonly Service[] =>
  few.map((service) => (service.name === "ledger" ? { ...service, ...changes } : service));
const frozen = ledgerIs({ lifecycle: "frozen" });
const withoutLedger = few.filter(({ name }) => name !== "ledger");

function ok({ status, output }: Ran): string {
  if (status !== 0) throw new Error(output);
  return output;
}

describe.each([{ protect: true }, { protect: false }])("a service of a stack with protect: $protect", ({ protect }) => {
  let stack: TestStack;
  let backup = "";

  beforeAll(async () => {
    stack = await prepareStack({ "centraldb:protect": protect, "centraldb:extensions": ["citext"] });
    stack.setRegistry(ledgerIs({}).map((s) => (s.name === "gatherer" ? { ...s, reads: ["ledger"] } : s)));
    ok(stack.up("--skip-preview"));
    const superuser = await stack.superuser();
    for (const code of ["gt", "lg"]) {
      const kept = `CREATE TABLE ${code}_kept AS SELECT n, md5(n::text) AS t FROM generate_series(1, ${rows}) n`;
      await superuser.query(`SET ROLE ${code}own; SET search_path = ${code}; ${kept}; RESET ROLE`);
    }
    await superuser.end();
  });
  afterAll(() => stack.clean());

  const onSocket = (query: string) => {
    const psql = ["psql", "-XAtU", "postgres", "-d", "appdb", "-c", query];
    return execFileSync("docker", ["exec", `${stack.prefix}-primary`, ...psql], { encoding: "utf8" }).trim();
  };
  const left = () =>
    onSocket(
      "SELECT nspname FROM pg_namespace WHERE nspname ~ '^lg' UNION SELECT rolname FROM pg_roles WHERE rolname ~ '^lg' ORDER BY 1",
    );
  const sum = (table: string) => onSocket(`SELECT count(*) || ' ' || md5(string_agg(t, ',' ORDER BY n)) FROM ${table}`);
  const all = "lg\nlgapp\nlgown\nlguser";
  const refused = (registry: readonly Service[]) => {
    stack.setRegistry(registry);
    const { status, output } = stack.up("--skip-preview");
    expect(status, output).not.toBe(0);
    expect(left()).toBe(all);
    return output;
  };

  async function expectUnharmed(registry: readonly Service[]): Promise<void> {
    const superuser = await stack.superuser();
    try {
      const { violations } = await testEffect(testPlan(registry), stack.logins(registry), superuser);
      expect(violations.map(describeViolation)).toEqual([]);
    } finally {
      await superuser.end();
    }
    const drift = stack.pulumi("preview", "--refresh", "--expect-no-changes");
    expect(drift.status, drift.output).toBe(0);
  }

  const someBackup = { dev: "20261126T170000Z-logical" };

  it("is not dropped while it is in use, still read by another, or without a backup that proves anything", () => {
    expect(stack.ops("retire", "ledger", "--yes", "lg").output).toContain(
      "ledger is in use: only a frozen service is retired",
    );
    const used = refused(ledgerIs({ lifecycle: "retired", retiredBackups: someBackup }));
    expect(used).toContain('services.ledger.lifecycle: it is "retired", and stack dev has it in use: first "frozen"');
    stack.setRegistry(frozen.map((s) => (s.name === "gatherer" ? { ...s, reads: ["ledger"] } : s)));
    ok(stack.up("--skip-preview"));
    const read = refused(ledgerIs({ lifecycle: "retired", retiredBackups: someBackup }));
    expect(read).toContain("stack dev has reads of it (gtapp reads ledger, gtuser reads ledger)");
    stack.setRegistry(frozen);
    ok(stack.up("--skip-preview"));
    const unproven = refused(ledgerIs({ lifecycle: "retired", retiredBackups: someBackup }));
    expect(unproven).toContain("services.ledger.retiredBackups.dev: there is no backup 20261126T170000Z-logical");
    expect(refused(ledgerIs({ lifecycle: "retired", retiredBackups: { prod: someBackup.dev } }))).toContain(
      "services.ledger.retiredBackups: there is none of stack dev",
    );
    expect(refused(withoutLedger)).toContain(
      'ledger (code "lg") is in the stack and no longer in services/registry.ts',
    );
  });

  it("is backed up, the backup pinned and drilled, before anybody says the word", () => {
    stack.setRegistry(frozen);
    const other = stack.ops("retire", "ledger", "--yes", "ledger");
    expect(other.output).toContain("nothing was retired: what was typed is not lg");
    const said = ok(stack.ops("retire", "ledger", "--yes", "lg"));
    expect(said).toMatch(
      /1\/3 make a backup.*\n.*1 tables of lg with 1000 rows.*\n2\/3 .*\n.*pinned.*\n3\/3 .*\n.*restored in/,
    );
    backup = /retiredBackups: { dev: "(.*)" }/.exec(said)?.[1] ?? "";
    expect(backup).toMatch(/^\d{8}T\d{6}Z-logical$/);
  });

  it("is not dropped where something is written after the backup", () => {
    onSocket("INSERT INTO lg.lg_kept VALUES (0, 'late')");
    expect(refused(ledgerIs({ lifecycle: "retired", retiredBackups: { dev: backup } }))).toContain(
      `services.ledger.retiredBackups.dev: ${backup} is not what is there: lg.lg_kept has 1001 rows, and had 1000`,
    );
    onSocket("DELETE FROM lg.lg_kept WHERE n = 0");
  });

  it("is dropped by up, with its roles, and the others are what they were", async () => {
    const before = sum("gt.gt_kept");
    const gone = ledgerIs({ lifecycle: "retired", retiredBackups: { dev: backup } });
    stack.setRegistry(gone);
    const preview = stack.pulumi("preview");
    expect(preview.output).toContain(
      `ledger is retired: up drops the schema lg with all there is in it, and its roles; they are in ${backup}`,
    );
    expect(left()).toBe(all);
    if (protect) {
      // Bare: nothing of it needs npm run up.
      ok(stack.pulumi("up", "--yes"));
    } else {
      // Killed when it is dropped, and before pulumi has forgotten it.
      const killed = stack.startPulumi("up", "--yes", "--skip-preview");
      await killed.printed(/cluster-configuration updating/);
      await killed.kill();
      await sleep(500);
      expect(left()).toBe("");
      expect(stack.state()).toContain("::ledger-schema");
      ok(stack.up("--skip-preview"));
    }
    expect(left()).toBe("");
    expect(stack.state()).not.toContain("::ledger-");
    expect(sum("gt.gt_kept")).toBe(before);
    ok(stack.up("--skip-preview", "--expect-no-changes"));
    await expectUnharmed(gone);
  });

  it("is gone with its line, which changes nothing", async () => {
    stack.setRegistry(withoutLedger);
    ok(stack.up("--skip-preview", "--expect-no-changes"));
    await expectUnharmed(withoutLedger);
  });

  it("comes back from the backup as it was, with new passwords, when its line does", async () => {
    stack.setRegistry(few);
    ok(stack.up("--skip-preview"));
    expect(left()).toBe(all);
    const said = ok(stack.ops("unretire", "ledger", "--yes", "lg", "--unpin"));
    expect(said).toMatch(new RegExp(`ledger is back as it was in ${backup}`));
    expect(sum("lg.lg_kept")).toBe(sum("gt.gt_kept"));
    expect(left()).toBe(all);
    expect(stack.ops("unretire", "ledger", "--backup", backup, "--yes", "lg").output).toContain(
      "lg has 1 tables already",
    );
    await expectUnharmed(few);
  });
});
