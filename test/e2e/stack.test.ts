import { execFileSync, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../agent/manifest";
import { planAccess } from "../../components/access/plan";
import { database } from "../../components/settings-rules";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect, testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { readStack } from "../../ops/stack-file";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import type { Endpoints } from "../../components/access/endpoints";
import { run, type Ran } from "../support/run";
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
  const { stdout } = stack.pulumi("preview", "--json");
  const { steps } = JSON.parse(stdout) as { steps: readonly { op: string; urn: string }[] };
  return steps.filter(({ op }) => op !== "same").map(({ op, urn }) => `${op} ${urn.split("::").at(-1) ?? ""}`);
}

async function violations(registry: readonly Service[], test: typeof testEffect): Promise<string[]> {
  const superuser = await stack.superuser();
  try {
    const { extensions } = readStack("dev", stack.folder).settings;
    const report = await test(planAccess(registry, { database, extensions }), stack.logins(registry), superuser);
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

/** When each server started, by the engine: changes whenever a container is restarted or replaced. */
function startedAt(): string[] {
  return ["primary", "replica"].map((node) =>
    execFileSync("docker", ["inspect", "-f", "{{.State.StartedAt}}", `${stack.prefix}-${node}`], { encoding: "utf8" }),
  );
}

function rwPort(): number {
  return (stack.output("endpoints") as Endpoints).rw.host.port;
}

async function show(setting: string): Promise<unknown> {
  return asSuperuser(async (superuser) => {
    const { rows } = await superuser.query<Record<string, unknown>>(`SHOW ${setting}`);
    return rows[0]?.[setting];
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
    ok(stack.pulumi("preview"));
    ok(stack.up("--skip-preview"));
    expect(statSync(join(stack.folder, ".pulumi-state", "passphrase")).mode & 0o777).toBe(0o600);
  });

  it("changes nothing the second time, and finds no drift", () => {
    // What the provider has set is what the plan says: nothing of it is taken for a role's own.
    expect(ok(stack.up("--skip-preview", "--expect-no-changes"))).not.toMatch(/: up sets/);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("gives every tier of every service what the plan says, by effect", async () => {
    expect(await violations(services, testEffect)).toEqual([]);
    await makeProbes(services, "old");
    await makeProbes(services, "new");
    expect(await violations(services, testEffectOnProbes)).toEqual([]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("shows no password in the state, the container's configuration or the server's log", async () => {
    const passwords = [...stack.logins(services).passwords.values()];
    const docker = (command: string) =>
      spawnSync("sh", ["-c", `docker ${command} 2>&1`], { encoding: "utf8", maxBuffer: 1 << 28 }).stdout;
    const ofNode = (node: string) =>
      ["logs", "inspect", "top"].map((command) => docker(`${command} ${stack.prefix}-${node}`));
    const shown = [stack.state(), ...ofNode("primary"), ...ofNode("replica")];
    expect(shown[1]).toContain("database system is ready to accept connections");
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
    // Of the jobs for all: rights on the database, the logins that are tried, and whom a backup must have.
    const jobs = ["update tiers-apply", "update logins-check-run", "update backup-settings"];
    const changed = changes().filter(
      (line) => !/ (archivist|reads)(-|$)/.test(line) && !jobs.includes(line) && !line.endsWith("centraldb-dev"),
    );
    expect(changed).toEqual([]);
    expect(changes()).toHaveLength(22 + (1 + 10) + jobs.length);
    ok(stack.up("--skip-preview"));
    await makeProbes(appended.slice(-1), "old");
    await makeProbes(appended.slice(-1), "new");
    expect(await violations(appended, testEffectOnProbes)).toEqual([]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
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
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("shows in the preview which lines of the configuration change, and reloads what can be reloaded", async () => {
    const before = startedAt();
    stack.setConfig("centraldb:postgresqlSettings", { log_temp_files: "123kB" });
    expect(changes()).toEqual(["update cluster-configuration"]);
    const { output } = stack.pulumi("preview", "--diff");
    expect(output).toContain("+ log_temp_files = '123kB'");
    ok(stack.up("--skip-preview"));
    expect(startedAt()).toEqual(before);
    expect(await show("log_temp_files")).toBe("123kB");
  });

  it("says in the preview that a setting restarts the servers, restarts them cleanly and loses nothing", async () => {
    await asSuperuser((superuser) =>
      superuser.query("CREATE TABLE platform.kept AS SELECT generate_series(1, 100) AS n"),
    );
    stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: "200MB" });
    expect(changes()).toEqual([
      "update cluster-configuration",
      ...["primary", "replica"].flatMap((node) => [`replace ${node}-container`, `replace ${node}-ready`]),
    ]);
    expect(stack.pulumi("preview", "--diff").output).toContain('"shared_buffers = 256MB" => "shared_buffers = 200MB"');
    expect(stack.pulumi("preview").output).toContain(
      `up restarts ${stack.prefix}-primary, then ${stack.prefix}-replica: shared_buffers = 256MB → 200MB`,
    );
    ok(stack.up("--skip-preview"));
    expect(await show("shared_buffers")).toBe("200MB");
    for (const node of ["primary", "replica"]) {
      const log = execFileSync("sh", ["-c", `docker logs ${stack.prefix}-${node} 2>&1`], { encoding: "utf8" });
      expect(log).toContain("database system was shut down");
      expect(log).not.toMatch(/not properly shut down|was interrupted/);
    }
    const { rowCount } = await asSuperuser((superuser) => superuser.query("SELECT FROM platform.kept"));
    expect(rowCount).toBe(100);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("refuses a configuration that cannot work, and leaves the servers running", () => {
    const before = startedAt();
    stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: "900GB" });
    const { status, output } = stack.up("--skip-preview");
    expect(status).not.toBe(0);
    expect(output).toContain("configuration refused, the running servers keep theirs");
    expect(output).toContain("could not map anonymous shared memory");
    expect(startedAt()).toEqual(before);
    stack.setConfig("centraldb:postgresqlSettings", {});
    ok(stack.up("--skip-preview"));
  });

  it("prints how a service connects and the state of the nodes", () => {
    const url = ok(stack.ops("connect", "gatherer", "user")).trim();
    expect(url).toBe(`postgresql://gtuser:${new URL(url).password}@127.0.0.1:${rwPort()}/appdb`);
    const psql = ["--import", "tsx", "ops/main.ts", "connect", "gt", "owner", "--psql"];
    const asOwner = { cwd: stack.folder, env: stack.environment, input: "SELECT 'I am ' || current_user" };
    expect(ok(run(process.execPath, psql, asOwner))).toContain("I am gtown");
    const status = ok(stack.ops("status"));
    expect(status).toContain("All is well.");
    expect(status).toMatch(/^replica +\S+-replica +running +standby .* bytes, 0\.0 s +36\d d$/m);
  });

  it("makes, verifies and pins backups by command, and is not well where one is harmed or nobody makes them", () => {
    const container = `${stack.prefix}-backup`;
    const shell = (script: string) =>
      execFileSync("docker", ["exec", container, "sh", "-ec", script], { encoding: "utf8", maxBuffer: 64 * 1024 ** 2 });
    expect(ok(stack.ops("backup", "now")).match(/ is proven: /g)).toHaveLength(2);
    const list = () => ok(stack.ops("backup", "list"));
    expect(list()).toMatch(/^any moment from \S+ to \S+ can be restored$/m);
    const id =
      list()
        .match(/\S+-logical/g)
        ?.at(-1) ?? "";
    const { logical } = JSON.parse(shell(`cat /backups/backups/${id}/manifest.json`)) as Manifest;
    expect(logical?.services).toEqual(appended.map(({ code }) => code));
    ok(stack.ops("backup", "pin", id));
    expect(list()).toMatch(new RegExp(`^${id} .* for ever$`, "m"));
    ok(stack.ops("backup", "unpin", id));
    expect(list()).not.toContain("for ever");
    expect(ok(stack.ops("backup", "verify"))).toContain("backups are what they were when they were proven");

    expect(ok(stack.ops("backup", "drill")).match(/: restored, and what it was; /g)).toHaveLength(2);

    shell(`cd /backups/backups/${id}; cp -p appdb.dump /tmp/whole; truncate -s -1 appdb.dump`);
    for (const one of [stack.ops("backup", "verify", id), stack.ops("status")]) {
      expect(one.status).toBe(1);
      expect(one.output).toMatch(new RegExp(`${id}.*appdb.dump has \\d+ bytes of \\d+`));
    }
    shell(`cp -p /tmp/whole /backups/backups/${id}/appdb.dump`);
    ok(stack.ops("backup", "verify", id));
    expect(ok(stack.ops("status"))).toContain("All is well.");

    execFileSync("docker", ["stop", container, `${stack.prefix}-drill`]);
    const stopped = stack.ops("status");
    expect(stopped).toMatchObject({ status: 1, output: expect.stringContaining("nobody makes backups") as unknown });
    expect(stopped.output).toContain("nobody restores backups");
    for (const command of ["now", "drill"]) {
      expect(stack.ops("backup", command).output).toContain("npm run ops -- start --stack dev");
    }
    ok(stack.ops("start"));
    // `up` has put the state of the stack beside the backups, and no secret is in it.
    const state = shell("cat /backups/state/dev.json");
    expect((JSON.parse(state) as { deployment: { resources: unknown[] } }).deployment.resources.length).toBeGreaterThan(
      50,
    );
    expect(state).not.toContain(String(stack.output("superuserPassword")));
  });

  it("restores the newest dump by command, puts it in the place of the services' own, and has nothing to change then", async () => {
    for (const [args, why] of [
      [["--table", "gt.gt_raw_data"], "--table is of one service: add --service NAME"],
      [["--service", "gathrer"], 'did you mean "gatherer"?'],
      [["20260101T000000Z-logical"], "there is no dump 20260101T000000Z-logical; there are 2"],
      [["swap", "postgres"], "postgres is no database that was restored or kept: there are none"],
    ] as const) {
      expect(stack.ops("restore", ...args)).toMatchObject({
        status: 1,
        output: expect.stringContaining(why) as unknown,
      });
    }
    expect(ok(stack.ops("restore", "--dry-run"))).toMatch(/^1\/1 check \S+-logical$/m);

    const restored = ok(stack.ops("restore", "--yes", "appdb"));
    for (const step of [
      "1/6 check",
      "2/6 prepare",
      "3/6 restore every service",
      "4/6 compare",
      "5/6 swap",
      "6/6 apply the plan",
    ]) {
      expect(restored).toContain(step);
    }
    const undo = /restore swap (appdb_before_\w+)/.exec(restored)?.[1] ?? "";
    expect(await violations(appended, testEffect)).toEqual([
      `postgres: database ${undo}: expected no such database, got there`,
    ]);
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
    const undone = ok(stack.ops("restore", "swap", undo, "--yes", "appdb"));

    const declined = stack.ops("restore", "--yes", "something");
    expect(declined).toMatchObject({ status: 1, output: expect.stringContaining("nothing was changed") as unknown });
    const beside = /npm run ops -- restore swap (appdb_restored_\w+)/.exec(declined.output)?.[1] ?? "";
    const replaced = ok(stack.ops("restore", "--service", "gatherer", "--in-place", "--yes", "gt"));
    expect(replaced).toContain("5/5 let gt in, and ask the audit");
    expect(ok(stack.ops("status"))).toContain("All is well.");

    // What is kept the audit names, until somebody drops it as the restore has said.
    const psql = (...args: string[]) => execFileSync("docker", ["exec", `${stack.prefix}-primary`, ...args]);
    const kept = /restore swap (gt_before_\w+)/.exec(replaced)?.[1] ?? "";
    const was = /what it was is (appdb_before_\w+)/.exec(undone)?.[1] ?? "";
    const audited = stack.ops("audit");
    expect(audited.status).toBe(2);
    for (const name of [beside, kept, was]) expect(audited.output).toContain(` ${name} `);
    psql("psql", "-U", "postgres", "-d", "appdb", "-c", `DROP SCHEMA ${kept} CASCADE`);
    for (const name of [beside, was]) psql("dropdb", "-U", "postgres", name);
    ok(stack.ops("audit"));
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("after a failover refuses a stale config value, and with the right one changes no container and grants there", async () => {
    const containers = (status?: string) =>
      execFileSync(
        "docker",
        [
          ...["ps", "-a", "--no-trunc", "--filter", `name=${stack.prefix}`],
          ...(status === undefined ? ["-q"] : ["--format", "{{.Names}}", "--filter", `status=${status}`]),
        ],
        { encoding: "utf8" },
      );
    const replica = `${stack.prefix}-replica`;
    execFileSync("docker", ["stop", `${stack.prefix}-primary`]);
    execFileSync("docker", ["exec", replica, "psql", "-qU", "postgres", "-c", "SELECT pg_promote()"]);
    const before = containers();
    const stale = stack.up("--skip-preview");
    expect(stale.status, stale.output).not.toBe(0);
    expect(stale.output).toContain(
      `it is "primary", but ${stack.prefix}-primary was the primary before and ${replica} is the primary; ` +
        "pulumi config set centraldb:primaryNode replica",
    );
    expect(stale.output).not.toContain("cluster-configuration updat");
    expect(stack.ops("start").output).toContain(
      `${stack.prefix}-primary was the primary before and ${replica} is the primary`,
    );
    expect(containers("running").trim().split("\n").sort()).toEqual([
      `${stack.prefix}-backup`,
      `${stack.prefix}-drill`,
      replica,
    ]);

    stack.setConfig("centraldb:primaryNode", "replica");
    // The address at which the provider finds the primary; nothing of the stack itself.
    expect(changes()).toEqual(["update server"]);
    expect(stack.up("--skip-preview", "--refresh").output).toContain("first without --refresh: npm run up -- dev");
    expect(ok(stack.up("--skip-preview"))).toContain(
      `${stack.prefix}-primary was the primary before ${replica} became it: it stays stopped`,
    );
    expect(containers()).toBe(before);
    expect(await violations(appended, testEffect)).toEqual([]);
    ok(stack.pulumi("preview", "--expect-no-changes"));
  });

  it("makes the old primary the replica when its container and its data were removed", () => {
    const primary = `${stack.prefix}-primary`;
    execFileSync("docker", ["rm", "-f", primary]);
    execFileSync("docker", ["volume", "rm", `${primary}-data`]);
    ok(stack.up("--skip-preview"));
    const role = ["exec", primary, "psql", "-XAtU", "postgres", "-c", "SELECT pg_is_in_recovery()"];
    expect(execFileSync("docker", role, { encoding: "utf8" })).toBe("t\n");
    expect(ok(stack.ops("status"))).toContain("All is well.");
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("is removed by destroy without a trace, and starts clean again", async () => {
    ok(stack.pulumi("destroy", "--yes", "--skip-preview"));
    stack.setConfig("centraldb:primaryNode", "primary");
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
