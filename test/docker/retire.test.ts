import { afterAll, beforeAll, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import { dropRetired, surveyRetired } from "../../components/lifecycle/survey-retired";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import { steps } from "../../ops/restore/steps";
import { proveRetirement, requireRetirable } from "../../ops/retire/retire";
import { bringBack, chooseKept } from "../../ops/retire/unretire";
import type { Stack } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { resolveService, type ResolvedService, type Service } from "../../services/service";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { furnish } from "../support/furnish";
import { platformOn } from "../support/restore";

// The end of a service and its way back on a running stack, without Pulumi: the proof, the drop, the restore. One after the other.
const registry = services.slice(0, 3);
let cluster: TestCluster;
let agent: BackupAgent;
let stack: Stack;
let verifiers: ReadonlyMap<string, string>;
let backup = "";
let before: readonly string[];
const said: string[] = [];
const say = (line: string) => said.push(line);

beforeAll(async () => {
  cluster = await prepareCluster(registry, { withBackup: true, withDrill: true });
  agent = backupAgent(cluster);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
  await agent.hasBegun();
  const owner = await cluster.login("primary", "gtown");
  await owner.query(furnish);
  await owner.end();
  stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
  const { passwords } = cluster.target("primary");
  verifiers = new Map([...passwords].map(([role, password]) => [role, scramVerifier(role, password)]));
  before = text();
});
afterAll(() => cluster.clean());

const gatherer = (changes: Partial<Service> = {}): ResolvedService => {
  const [service] = registry;
  if (service === undefined) throw new Error("no gatherer");
  return resolveService({ ...service, ...changes });
};
const frozen = gatherer({ lifecycle: "frozen" });
const retired = () => gatherer({ lifecycle: "retired", retiredBackups: { dev: backup } });
const planWith = (service: Service): Plan =>
  planAccess([service, ...registry.slice(1)], {
    database: cluster.plan.database,
    extensions: cluster.settings.extensions,
  });

/** A function that the guard lets by, and the audit names. */
const loose = (code: string) =>
  `CREATE FUNCTION ${code}.${code}_f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`;

async function asSuperuser(sql: string): Promise<void> {
  const superuser = await cluster.login("primary", superuserRole);
  await superuser.query(sql).finally(() => superuser.end());
}

/** What pg_dump makes of the service, without the words it makes up anew each time, and the order in which roles were made. */
const text = () =>
  cluster
    .exec("primary", "pg_dump", "-U", "postgres", "-d", "appdb", "--schema=gt")
    .stdout.split("\n")
    .filter((line) => !/^\\(un)?restrict |^-- Dumped|ON LANGUAGE plpgsql/.test(line));
const asked = () => ({ settings: cluster.settings, dockerHost: undefined });
const survey = () => surveyRetired("dev", [retired()], cluster.names.primary.container, asked())?.get("gt");
const left = (node: "primary" | "replica") =>
  cluster.ask(
    node,
    "SELECT (SELECT count(*) FROM pg_roles WHERE rolname ~ '^gt') + (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^gt')",
  );

it("a service that is frozen in the registry only is not retired", () => {
  expect(() => {
    requireRetirable(stack, frozen);
  }).toThrow(/gtapp may log in: the service is not frozen here/);
});

it("one is not in which the drill has found something", async () => {
  const owner = await cluster.login("primary", "gtown");
  await owner.query(loose("gt"));
  await expect(proveRetirement(stack, frozen, steps(3, say))).rejects.toThrow(
    /-logical is not what it should be:\n {2}the drill of \S+ failed: gtown: function gt\.gt_f\(\): expected SECURITY INVOKER, or [^\n]*$/,
  );
  await owner.query("DROP FUNCTION gt.gt_f()");
  await owner.end();
});

it("a frozen one is backed up, the backup kept for ever, and restored by a drill, whatever that finds of others", async () => {
  const other = await cluster.login("primary", "scown");
  await other.query(loose("sc"));
  await other.end();
  await asSuperuser(renderPlan(planWith(frozen), verifiers));
  requireRetirable(stack, frozen);
  backup = await proveRetirement(stack, frozen, steps(3, say));
  expect(agent.list().backups.find(({ id }) => id === backup)).toMatchObject({ pinned: true, kind: "logical" });
  const drilled = agent
    .list()
    .drills.at(-1)
    ?.backups.find((one) => one.backup === backup);
  expect(drilled?.verdicts).toMatchObject([{ service: "sc", findings: 1 }]);
  expect(said.join("\n")).toMatch(/tables of gt with \d{4} rows/);
  expect(survey()).toEqual({ isThere: true, hasSchema: true, begun: null, obstacles: [], flaws: [] });
});

it("the proof does not hold where something was written or made since, or the backup may be deleted", async () => {
  for (const [change, undo, what] of [
    [
      "UPDATE gt.gt_child SET note = 'late' WHERE kind = 1",
      "UPDATE gt.gt_child SET note = 'n' WHERE kind = 1",
      /is not what is there: gt\.gt_child has other values in its 50 rows$/,
    ],
    [
      "ALTER TABLE gt.gt_child RENAME note TO remark",
      "ALTER TABLE gt.gt_child RENAME remark TO note",
      /is not what is there: gt\.gt_child has other columns$/,
    ],
    [
      "CREATE VIEW gt.gt_late AS SELECT 1 AS one",
      "DROP VIEW gt.gt_late",
      /is not what is there: gt has \d+ views, and had \d+$/,
    ],
  ] as const) {
    await asSuperuser(change);
    expect(survey()?.flaws).toEqual([expect.stringMatching(what)]);
    await asSuperuser(undo);
    expect(survey()?.flaws).toEqual([]);
  }
  agent.run("unpin", backup);
  expect(survey()?.flaws).toEqual([`${backup} is not pinned, and would be deleted with others of its age`]);
  agent.run("pin", backup);
});

it("it is dropped with its roles on both servers, a second time nothing is, and the others are what they were", async () => {
  for (let time = 1; time <= 2; time++) {
    const { status, stderr } = dropRetired(retired(), backup, cluster.names.primary.container, undefined);
    expect(status, stderr).toBe(0);
  }
  await cluster.caughtUp("primary");
  for (const node of ["primary", "replica"] as const) expect(left(node)).toBe("0");
  const superuser = await cluster.login("primary", superuserRole);
  const { violations } = await testEffect(planWith(retired()), cluster.target("primary"), superuser);
  await superuser.end();
  expect(violations.map(describeViolation)).toEqual([]);
  expect(() => {
    requireRetirable(stack, retired());
  }).toThrow("stack dev has nothing of gatherer: it is dropped, and the line may go");
});

it("it comes back into an empty schema as it was, from the pinned backup and not from a newer one of the empty schema", async () => {
  await asSuperuser("DROP FUNCTION sc.sc_f()");
  await asSuperuser(renderPlan(cluster.plan, verifiers));
  expect(agent.run("now", "logical").output).toContain("is proven");
  const platform = platformOn(cluster);
  const wanted = chooseKept(stack, gatherer(), undefined);
  expect(wanted.backup.id).toBe(backup);
  await bringBack(platform, gatherer(), wanted, { unpin: true }, say);
  expect(said.join("\n")).toMatch(/\d{3,} attempts came out as the plan says/);
  expect(text()).toEqual(before);
  expect(cluster.ask("primary", "SELECT count(*) FROM pg_namespace WHERE nspname ~ '_before_'")).toBe("0");
  expect(agent.list().backups.find(({ id }) => id === backup)?.pinned).toBe(false);
  await expect(bringBack(platform, gatherer(), wanted, { unpin: false }, say)).rejects.toThrow(
    /gt has \d+ tables already/,
  );
});
