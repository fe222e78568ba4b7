import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Connection, Endpoints } from "../../components/access/endpoints";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffect } from "../../ops/effect-test/effect-test";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import type { Ran } from "../support/run";
import { testPlan } from "../support/server";
import { prepareStack, type TestStack } from "../support/stack";
import { buildOlderStandInImage, olderStandInImage, standInImage } from "../support/stand-in-image";
import type { Noted } from "../support/workload";

/** Of the standby; the backup's receiver streams as well. */
const standbyState = "SELECT state FROM pg_stat_replication WHERE application_name <> 'centraldb-backup'";

// One stack that goes on living, whatever happens to it: after each mishap its rows, its rights and its state are the same.
const rows = 1000;
let stack: TestStack;
let registry: readonly Service[] = services;

function setRegistry(next: readonly Service[]): void {
  registry = next;
  stack.setRegistry(next);
}

beforeAll(async () => {
  buildOlderStandInImage();
  stack = await prepareStack({ "centraldb:image": olderStandInImage, "centraldb:extensions": ["citext"] });
  ok(stack.up("--skip-preview"));
  const superuser = await stack.superuser();
  for (const code of ["gt", "lg"]) {
    const kept = `CREATE TABLE ${code}_kept AS SELECT generate_series(1, ${rows}) AS n`;
    await superuser.query(`SET ROLE ${code}own; SET search_path = ${code}; ${kept}; RESET ROLE`);
  }
  await superuser.query("SET ROLE gtown; CREATE TABLE gt.gt_tokens (token integer PRIMARY KEY); RESET ROLE");
  await superuser.end();
});
afterAll(() => stack.clean());

function ok({ status, output }: Ran): string {
  if (status !== 0) throw new Error(output);
  return output;
}

const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" });
const container = (node: "primary" | "replica") => `${stack.prefix}-${node}`;
const started = () =>
  docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", container("primary"), container("replica"));
const onSocket = (node: "primary" | "replica", query: string) =>
  docker("exec", container(node), "psql", "-XAtU", "postgres", "-d", "appdb", "-c", query).trim();

/** Same rows, same rights by effect, and nothing that `up` would change. */
async function expectUnharmed(): Promise<void> {
  const superuser = await stack.superuser();
  try {
    for (const table of ["gt.gt_kept", "lg.lg_kept"]) {
      expect((await superuser.query(`SELECT FROM ${table}`)).rowCount, table).toBe(rows);
    }
    const { violations, attempts } = await testEffect(testPlan(registry), stack.logins(registry), superuser);
    expect(violations.map(describeViolation)).toEqual([]);
    expect(attempts).toBeGreaterThan(4000);
  } finally {
    await superuser.end();
  }
  const drift = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(drift.status, drift.output).toBe(0);
  expect(drift.output).not.toContain("pending operations");
}

const appended: readonly Service[] = [
  ...services,
  { name: "archivist", code: "ar", purpose: "Keeps what others made.", tables: [], reads: ["gatherer"] },
];

/** A client that inserts all the while `work` goes on, and what it saw. */
async function whileAClientWorks(work: () => void): Promise<readonly Noted[]> {
  const file = join(stack.folder, "workload.jsonl");
  rmSync(file, { force: true });
  const { url } =
    (stack.output("connections") as Record<string, Record<string, Connection>>)["gatherer"]?.["app"] ?? {};
  const script = join(__dirname, "..", "support", "workload.ts");
  const client = spawn(process.execPath, ["--import", "tsx", script, url ?? "", "gt.gt_tokens", file]);
  try {
    while (!existsSync(file)) await sleep(50);
    work();
    await sleep(1000);
  } finally {
    client.kill("SIGKILL");
  }
  const noted = readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Noted);
  const lost = noted.filter(({ token }) => token !== undefined).map(({ token }) => token);
  expect(lost.length).toBeGreaterThan(20);
  expect(onSocket("primary", `SELECT count(*) FROM gt.gt_tokens WHERE token = ANY ('{${lost.join(",")}}')`)).toBe(
    String(lost.length),
  );
  onSocket("primary", "DELETE FROM gt.gt_tokens");
  return noted;
}

/** The longest time between two acknowledged tokens, in seconds. */
function longestGap(noted: readonly Noted[]): number {
  const times = noted.filter(({ token }) => token !== undefined).map(({ at }) => at);
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at))) / 1000;
}

describe("up refuses, before anything is changed and without a preview", () => {
  const refusals: readonly [string, () => void, () => void, string][] = [
    [
      "a line that is gone from the registry",
      () => setRegistry(services.slice(0, -1)),
      () => setRegistry(services),
      'services: allocator (code "al") is in the stack and no longer in services/registry.ts: put its line back',
    ],
    [
      "a code that was renamed",
      () => setRegistry([...services.slice(0, -1), { ...last, code: "ax", tables: [] }]),
      () => setRegistry(services),
      'services.allocator.code: it is "ax", and the stack has its data as "al"',
    ],
    [
      "another prefix",
      () => stack.setConfig("centraldb:namePrefix", `${stack.prefix}x`),
      () => stack.setConfig("centraldb:namePrefix", stack.prefix),
      "centraldb:namePrefix: it is",
    ],
    [
      "another major version",
      () => stack.setConfig("centraldb:image", "postgres:17.2-bookworm"),
      () => stack.setConfig("centraldb:image", olderStandInImage),
      "another major version does not read these data, see README",
    ],
  ];
  const last = services.at(-1) as Service;

  it.each(refusals)("%s", (_, change, undo, message) => {
    const before = [started(), resources()];
    change();
    for (const { status, output } of [stack.up("--skip-preview"), stack.pulumi("preview")]) {
      expect(status, output).not.toBe(0);
      expect(output).toContain(message);
      expect(output).not.toMatch(/^\s+at /m);
    }
    undo();
    expect([started(), resources()]).toEqual(before);
  });

  it("a line that is gone while no server answers; what deletes nothing is warned of", async () => {
    ok(stack.ops("stop"));
    setRegistry(services.slice(0, -1));
    const removed = stack.pulumi("up", "--yes", "--skip-preview");
    expect(removed.status).not.toBe(0);
    expect(removed.output).toContain('allocator (code "al") is in the stack');
    setRegistry(services);
    const unchanged = ok(stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes"));
    expect(unchanged).toContain(`${container("primary")} is exited, which pulumi up does not change`);
    ok(stack.ops("start"));
    await expectUnharmed();
  });

  it("a second up while the first works, which goes on", async () => {
    stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: "180MB" });
    const first = stack.startPulumi("up", "--yes", "--skip-preview");
    await first.printed(/cluster-configuration updating/);
    const ours = stack.up("--skip-preview");
    const bare = stack.pulumi("up", "--yes", "--skip-preview");
    expect(ours.status).not.toBe(0);
    expect(ours.output).toMatch(/^another update of stack dev is under way, of \S+ on \S+ since .*: wait for it/m);
    expect(bare.status).not.toBe(0);
    expect(bare.output).toContain("the stack is currently locked");
    expect(await first.ended, first.output()).toBe(0);
    await expectUnharmed();
  });
});

/** What the stack has; the state's secrets are encrypted anew by every update. */
function resources(): readonly string[] {
  const { checkpoint } = JSON.parse(stack.state()) as {
    checkpoint: { latest: { resources: readonly { urn: string; id?: string }[] } };
  };
  return checkpoint.latest.resources.map(({ urn, id }) => `${urn} ${id ?? ""}`);
}

describe("while a client works", () => {
  it("an up that announces no restart fails none of its statements", async () => {
    const noted = await whileAClientWorks(() => {
      stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: "180MB", log_min_duration_statement: "90ms" });
      setRegistry(services.map((service) => ({ ...service, connectionLimits: { app: 6 } })));
      const { output } = stack.up("--skip-preview");
      expect(output).not.toContain("up restarts");
      setRegistry(services);
      ok(stack.up("--skip-preview"));
    });
    expect(noted.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it("a minor upgrade restarts primary, then replica, and says for how long, which is what the client sees", async () => {
    expect(onSocket("primary", "SHOW server_version")).toBe("16.13");
    let said = "";
    const noted = await whileAClientWorks(() => {
      stack.setConfig("centraldb:image", standInImage);
      said = ok(stack.up("--skip-preview"));
    });
    expect(said).toContain(
      `up restarts ${container("primary")}, then ${container("replica")}: image = ${olderStandInImage} → ${standInImage}`,
    );
    const seconds = new RegExp(`${container("primary")} did not accept connections for (\\d+\\.\\d) s`).exec(said)?.[1];
    expect(Number(seconds)).toBeGreaterThan(0);
    // It tries again every 20 ms, and its connection may take a moment.
    expect(longestGap(noted)).toBeLessThan(Number(seconds) + 2);
    for (const node of ["primary", "replica"] as const) expect(onSocket(node, "SHOW server_version")).toBe("16.14");
    await expectUnharmed();
  });
});

describe("a service that is frozen", () => {
  const frozen = services.map((service) =>
    service.name === "ledger" ? { ...service, lifecycle: "frozen" as const } : service,
  );
  const session = async (server: "rw" | "ro", user = "lguser") => {
    const { host, port } = (stack.output("endpoints") as Endpoints)[server].host;
    const client = new Client({ host, port, user, password: passwordOf(user), database: "appdb" });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  const passwordOf = (role: string) => stack.logins(services).passwords.get(role);

  it("is shut out also where its owner has locked what every login needs, and comes back as often as it likes", async () => {
    const owner = await session("rw", "lgown");
    const app = await session("rw", "lgapp");
    await owner.query("CREATE TABLE lg_ids (id int) PARTITION BY LIST (id)");
    await app.query("SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT FROM pg_roles LIMIT 1");
    await owner.query("SET statement_timeout = 0");
    const waiting = owner
      .query(
        "ALTER TABLE lg_ids ATTACH PARTITION pg_catalog.pg_authid FOR VALUES IN (length(set_config('lock_timeout', '0', true)))",
      )
      .catch((error: unknown) => String(error));
    await sleep(1000);
    setRegistry(frozen);
    expect(ok(stack.up("--skip-preview"))).toContain("sessions of frozen services");
    expect(await waiting).toMatch(/terminat/);
    await expect(session("rw", "lgapp")).rejects.toThrow("pg_hba.conf rejects connection");
    setRegistry(services);
    ok(stack.up("--skip-preview"));
    const again = await session("rw", "lgown");
    await again.query("DROP TABLE lg_ids");
    await again.end();
    await expectUnharmed();
  });

  it("loses logins and sessions on both servers, nothing else, and gets them back", async () => {
    const sessions = [await session("rw"), await session("ro")];
    // What the provider cannot read, and would fail at; and what lets nobody log in.
    await sessions[0]?.query("SET default_transaction_read_only = off");
    await sessions[0]?.query("ALTER ROLE lguser SET statement_timeout = '1h'");
    await sessions[0]?.query("ALTER ROLE lguser SET application_name = 'a\\b'");
    const app = await session("rw", "lgapp");
    await app.query("ALTER ROLE lgapp SET local_preload_libraries = 'nope'");
    await app.end();
    setRegistry(frozen);
    const output = ok(stack.up("--skip-preview"));
    for (const notice of [
      "lguser has another statement_timeout than the plan: up sets it to the plan's",
      "lguser has set its application_name: up sets it back",
      "lgapp has set its local_preload_libraries: up sets it back",
    ]) {
      expect(output).toContain(notice);
    }
    for (const client of sessions) await expect(client.query("SELECT 1")).rejects.toThrow();
    await expect(session("rw")).rejects.toThrow("pg_hba.conf rejects connection");
    await expect(session("ro")).rejects.toThrow("pg_hba.conf rejects connection");
    expect(stack.ops("connect", "ledger").output).toContain("ledger is frozen");
    await expectUnharmed();
    setRegistry(services);
    ok(stack.up("--skip-preview"));
    await (await session("rw", "lgapp")).end();
    await expectUnharmed();
  });
});

describe("the superuser's password", () => {
  it("is another after its rotation; sessions go on, and nobody is locked out", async () => {
    const before = await stack.superuser();
    const old = stack.output("superuserPassword");
    stack.setConfig("centraldb:passwordRotation", { postgres: 2, repl: 2 });
    const noted = await whileAClientWorks(() => {
      ok(stack.up("--skip-preview"));
    });
    expect(noted.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(stack.output("superuserPassword")).not.toBe(old);
    expect((await before.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await before.end();
    const { host, port } = (stack.output("endpoints") as Endpoints).rw.host;
    const withOld = new Client({ host, port, user: "postgres", password: String(old), database: "appdb" });
    await expect(withOld.connect()).rejects.toThrow("password authentication failed");
    // The standby uses the new one of repl when it connects again.
    docker("restart", container("replica"));
    await expect.poll(() => onSocket("primary", standbyState), { timeout: 60_000 }).toBe("streaming");
    await expectUnharmed();
  });
});

describe("the way back, each by one up, from", () => {
  it("stop and start", async () => {
    const before = started();
    expect(ok(stack.ops("stop"))).toMatch(/-primary stopped in \d+\.\d s\n.*-replica stopped in \d+\.\d s\n/);
    expect(ok(stack.ops("stop"))).toContain("nothing of stack dev runs");
    expect(stack.ops("status").status).toBe(1);
    const said = ok(stack.ops("start"));
    expect(said).toMatch(
      /-primary accepts connections after \d+\.\d s\n.*-replica accepts connections after \d+\.\d s\n/,
    );
    expect(said).toContain("All is well.");
    expect(started()).not.toBe(before);
    expect(ok(stack.ops("start"))).toBe("All is well.\n");
    await expectUnharmed();
  });

  it("servers that were stopped by hand", async () => {
    docker("stop", container("primary"), container("replica"));
    expect(ok(stack.up("--skip-preview", "--expect-no-changes"))).toContain("accepts connections after");
    await expectUnharmed();
  });

  it("the primary's container removed by hand", async () => {
    docker("rm", "-f", container("primary"));
    expect(stack.pulumi("preview").output).toContain(`${container("primary")} is gone: up makes it again`);
    ok(stack.up("--skip-preview"));
    await expectUnharmed();
  });

  it("both containers removed by hand, the replica's data too", async () => {
    docker("rm", "-f", container("primary"), container("replica"));
    docker("volume", "rm", `${container("replica")}-data`);
    ok(stack.up("--skip-preview"));
    await expectUnharmed();
    expect(onSocket("primary", standbyState)).toBe("streaming");
  });

  it("a network that is gone", async () => {
    for (const one of ["primary", "replica", "backup"])
      docker("network", "disconnect", "-f", stack.prefix, `${stack.prefix}-${one}`);
    docker("network", "rm", stack.prefix);
    expect(stack.pulumi("preview").output).toContain(`the network ${stack.prefix} is gone`);
    ok(stack.up("--skip-preview"));
    await expectUnharmed();
  });

  it("a refresh while both servers are stopped", async () => {
    docker("stop", container("primary"), container("replica"));
    expect(stack.pulumi("refresh", "--yes", "--skip-preview").status).not.toBe(0);
    ok(stack.up("--skip-preview"));
    await expectUnharmed();
  });

  it("a refresh while both containers are gone", async () => {
    docker("rm", "-f", container("primary"), container("replica"));
    expect(stack.pulumi("refresh", "--yes", "--skip-preview").status).not.toBe(0);
    ok(stack.up("--skip-preview"));
    await expectUnharmed();
  });

  // The command, what it is about to do when it is killed, and what it was to change.
  it.each<[string, RegExp, string, () => void]>([
    ["up", /primary-container creating replacement/, "while the primary is made anew", () => restart("191MB")],
    ["up", /archivist-(owner|app|user) creating/, "while roles are made", () => setRegistry(appended)],
    ["destroy", /primary-container deleted/, "when the servers are gone", () => undefined],
  ])("kill -9 of %s at %s, %s", async (command, pattern, _, change) => {
    change();
    const pulumi = stack.startPulumi(command, "--yes", "--skip-preview");
    await pulumi.printed(pattern);
    await pulumi.kill();
    await sleep(500);
    expect(ok(stack.up("--skip-preview"))).toContain("The last update was killed; its lock is removed.");
    await expectUnharmed();
  });

  const restart = (sharedBuffers: string) =>
    stack.setConfig("centraldb:postgresqlSettings", { shared_buffers: sharedBuffers });

  it("a state that is lost, once somebody says so: a checkout without the state is no reason to change every password", async () => {
    const before = started();
    rmSync(join(stack.folder, ".pulumi-state", ".pulumi"), { recursive: true });
    for (const refused of [stack.up("--skip-preview"), stack.pulumi("preview")]) {
      expect(refused.status, refused.output).not.toBe(0);
      expect(refused.output).toContain("stack dev: its state is empty, and the engine has its data");
      expect(refused.output).toContain("npm run up -- dev --adopt takes the data over, with new passwords");
    }
    expect(started()).toBe(before);
    const said = ok(stack.up("--adopt"));
    expect(said).toContain(`up takes over ${container("primary")}-data and ${container("replica")}-data`);
    expect(said).toContain("the server has roles this stack's state does not know; up takes over gtown, gtapp, gtuser");
    await expectUnharmed();
  });

  it("a passphrase that is lost, as the message says, with both containers", async () => {
    docker("rm", "-f", container("primary"), container("replica"));
    const folder = join(stack.folder, ".pulumi-state");
    rmSync(join(folder, "passphrase"));
    const refused = stack.up("--skip-preview");
    expect(refused.status).not.toBe(0);
    expect(refused.output).toContain(
      `mv ${folder} ${folder}.lost, remove the line encryptionsalt from Pulumi.dev.yaml`,
    );
    renameSync(folder, `${folder}.lost`);
    const stackFile = join(stack.folder, "Pulumi.dev.yaml");
    writeFileSync(stackFile, readFileSync(stackFile, "utf8").replace(/^encryptionsalt:.*\n/m, ""));
    ok(stack.up("--skip-preview", "--adopt"));
    await expectUnharmed();
  });
});

describe("wipe", () => {
  it("removes nothing when another name is typed, and everything when it is the stack's", () => {
    const before = started();
    const refused = stack.ops("wipe", "--stack", "dev", "--confirm", "prod");
    expect(refused.status).toBe(1);
    expect(refused.output).toContain("nothing was removed: the name typed is not the stack's");
    expect(started()).toBe(before);
    const said = ok(stack.ops("wipe", "--stack", "dev", "--confirm", "dev"));
    expect(said).toContain(
      `volumes: ${container("primary")}-data, ${container("replica")}-data, ${stack.prefix}-config`,
    );
    const left = [
      docker("ps", "-a", "--format", "{{.Names}}"),
      docker("volume", "ls", "--format", "{{.Name}}"),
      docker("network", "ls", "--format", "{{.Name}}"),
    ];
    expect(left.filter((names) => names.includes(stack.prefix))).toEqual([]);
    expect(stack.pulumi("stack", "export").output).toContain("no stack named");
  });
});
