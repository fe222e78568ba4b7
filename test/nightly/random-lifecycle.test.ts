import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { testPlan } from "../support/server";
import { prepareStack, type TestStack } from "../support/stack";

// Whatever happens to a stack, and in whatever order: `npm run up` is the way back, no acknowledged row is missing, and in
// the end nothing differs. CENTRALDB_SEED repeats a run.
const seed = Number(process.env["CENTRALDB_SEED"] ?? Date.now() % 1e6);
const steps = 30;
const nodes = ["primary", "replica"] as const;

let stack: TestStack;
let registry: readonly Service[] = services;
let rotation = 0;
let stateLost = false;
let acknowledged = 0;

beforeAll(async () => {
  stack = await prepareStack({ "centraldb:extensions": ["citext"] });
  expect(stack.up("--skip-preview").status).toBe(0);
  const superuser = await stack.superuser();
  await superuser.query("SET ROLE gtown; CREATE TABLE gt.gt_ledger (n integer PRIMARY KEY); RESET ROLE");
  await superuser.end();
});
afterAll(() => stack.clean());

const container = (node: (typeof nodes)[number]) => `${stack.prefix}-${node}`;
/** What is missing or stopped already is no mistake of the test. */
const docker = (...args: string[]) => spawnSync("docker", args, { encoding: "utf8" });

/** Rows are acknowledged whenever the primary answers. */
function writeRow(): void {
  const insert = `INSERT INTO gt.gt_ledger VALUES (${acknowledged + 1})`;
  const { status } = docker("exec", container("primary"), "psql", "-qU", "postgres", "-d", "appdb", "-c", insert);
  if (status === 0) acknowledged++;
}

function setRegistry(next: readonly Service[]): void {
  registry = next;
  stack.setRegistry(next);
}

function up(): void {
  const { status, output } = stack.up("--skip-preview", ...(stateLost ? ["--adopt"] : []));
  expect(status, output).toBe(0);
  stateLost = false;
}

type Step = (random: number) => void | Promise<void>;

const happenings: Readonly<Record<string, Step>> = {
  "npm run up": up,
  "npm run up, once more": up,
  "pulumi up": () => {
    stack.pulumi("up", "--yes", "--skip-preview"); // may fail where a server is stopped
  },
  "up killed": async (random) => {
    const pulumi = stack.startPulumi("up", "--yes", "--skip-preview");
    await sleep(500 + random * 8000);
    await pulumi.kill();
  },
  append: () => {
    const code = `x${String.fromCharCode(97 + registry.length - services.length)}`;
    if (registry.length >= services.length + 5) return;
    const reads = [services[registry.length % services.length]?.name ?? ""];
    setRegistry([...registry, { name: `extra-${code}`, code, purpose: "Appended.", tables: [], reads }]);
  },
  "freeze or thaw": (random) => {
    const chosen = Math.floor(random * registry.length);
    setRegistry(
      registry.map((service, index) =>
        index === chosen
          ? { ...service, lifecycle: service.lifecycle === "frozen" ? ("active" as const) : ("frozen" as const) }
          : service,
      ),
    );
  },
  "a limit": (random) => {
    setRegistry(registry.map((service) => ({ ...service, connectionLimits: { app: random < 0.5 ? 4 : 5 } })));
  },
  "a setting that restarts": (random) => {
    stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: `${150 + Math.floor(random * 50)}MB` });
  },
  "a setting that reloads": (random) => {
    stack.setConfig("centraldb:postgresqlSettings", { log_min_duration_statement: `${Math.ceil(random * 900)}ms` });
  },
  "another superuser's password": () => {
    stack.setConfig("centraldb:passwordRotation", { postgres: ++rotation });
  },
  "ops stop": () => {
    expect(stack.ops("stop").status).toBe(0);
  },
  "ops start": () => {
    stack.ops("start"); // says 1 where a container is missing
  },
  "docker stop": (random) => {
    docker("stop", container(nodes[random < 0.5 ? 0 : 1]));
  },
  "docker rm": (random) => {
    for (const node of random < 0.3 ? nodes : [nodes[random < 0.65 ? 0 : 1]]) docker("rm", "-f", container(node));
  },
  "pulumi refresh": () => {
    stack.pulumi("refresh", "--yes", "--skip-preview"); // fails where a server is stopped
  },
  "the state is lost": (random) => {
    if (random < 0.5) return;
    rmSync(join(stack.folder, ".pulumi-state", ".pulumi"), { recursive: true, force: true });
    stateLost = true;
  },
};

it(`${steps} happenings in the order of seed ${seed} lose no row and leave no difference`, async () => {
  const names = Object.keys(happenings);
  const happening = fc.tuple(fc.constantFrom(...names), fc.integer({ min: 0, max: 999 }));
  const order = fc.sample(fc.noBias(happening), { seed, numRuns: steps });
  for (const [index, [name, thousandths]] of order.entries()) {
    process.stdout.write(`seed ${seed}, ${index + 1} of ${steps}: ${name} ${thousandths}\n`);
    await happenings[name]?.(thousandths / 1000);
    writeRow();
  }
  up();
  writeRow();
  const rows = execFileSync(
    "docker",
    [
      "exec",
      container("primary"),
      "psql",
      "-XAtU",
      "postgres",
      "-d",
      "appdb",
      "-c",
      "SELECT max(n), count(*) FROM gt.gt_ledger",
    ],
    { encoding: "utf8" },
  );
  expect(acknowledged).toBeGreaterThan(1);
  expect(rows.trim()).toBe(`${acknowledged}|${acknowledged}`);
  const superuser = await stack.superuser();
  const { violations } = await testEffect(testPlan(registry), stack.logins(registry), superuser);
  await superuser.end();
  expect(violations.map(describeViolation)).toEqual([]);
  const drift = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(drift.status, drift.output).toBe(0);
});
