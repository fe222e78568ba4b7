import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { Client } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Connection } from "../../components/access/endpoints";
import { formatPreview } from "../../ops/preview/page";
import { readPreview } from "../../ops/preview/read-preview";
import { services } from "../../services/registry";
import { waitFor } from "../support/wait";
import { commandLines, leaks, readablePlaces, secretsOf } from "../support/secrets";
import { prepareStack, type TestStack } from "../support/stack";

// The stack file prod as it is, but for names, ports and image.
let stack: TestStack;
/** What anybody on this machine saw of the first `up`. */
const seen: Record<string, string> = {};
beforeAll(async () => {
  stack = await prepareStack({}, "prod");
  const up = stack.startUp("--skip-preview");
  seen["a process list"] = await commandLines(up.ended);
  seen["what up prints"] = up.output();
  expect(await up.ended, up.output()).toBe(0);
});
afterAll(() => stack.clean());

it.each(["primary", "replica"])(
  "the %s of prod has the page's four numbers, its connections and its memory",
  (node) => {
    const container = `${stack.prefix}-${node}`;
    const show = (setting: string) =>
      execFileSync("docker", ["exec", container, "psql", "-XAtU", "app", "-d", "appdb", "-c", `SHOW ${setting}`], {
        encoding: "utf8",
      }).trim();
    expect(show("shared_buffers")).toBe("4GB");
    expect(show("effective_cache_size")).toBe("12GB");
    expect(show("work_mem")).toBe("64MB");
    expect(show("maintenance_work_mem")).toBe("1GB");
    expect(show("max_connections")).toBe("200");
    const limits = execFileSync(
      "docker",
      ["inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.ShmSize}}", container],
      {
        encoding: "utf8",
      },
    );
    expect(limits.trim()).toBe(`${16 * 1024 ** 3} ${4 * 1024 ** 3}`);
  },
);

it("the provider, replication and the stack's own jobs are encrypted, and an unencrypted login is refused", async () => {
  const superuser = await stack.superuser();
  const { rows } = await superuser.query(
    "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL",
  );
  expect(rows).toEqual([{ ssl: true }]);
  const { host, port, user, password, database } = connectionOf("gatherer", "app");
  const plain = new Client({ host, port, user, password, database });
  await expect(plain.connect()).rejects.toThrow("no encryption");
  await superuser.end();
});

it("the URL of the outputs works in psql and in node, given the file of the authority", async () => {
  const url = stack.ops("connect", "gatherer", "app", "--stack", "prod").stdout.trim();
  expect(url).toMatch(/\?sslmode=verify-full&sslrootcert=.*prod\.crt$/);
  const client = new Client({ connectionString: url });
  await client.connect();
  expect((await client.query("SELECT current_user AS me")).rows).toEqual([{ me: "gtapp" }]);
  await client.end();
});

it("prod warns of nothing and changes nothing the second time, in a checkout that has only the state neither", () => {
  rmSync(join(stack.folder, ".certificates"), { recursive: true });
  const preview = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(preview.status, preview.output).toBe(0);
  expect(preview.output).not.toContain("memoryMiB");
});

it("audit finds nothing on the new stack, encrypted and verified; what it finds its SQL repairs", async () => {
  const audit = (...options: string[]) => stack.ops("audit", "--stack", "prod", ...options);
  expect(audit()).toMatchObject({ status: 0, stdout: "stack prod is what the plan says.\n" });
  const superuser = await stack.superuser();
  await superuser.query("GRANT USAGE ON SCHEMA lg TO gtuser; ALTER ROLE gtapp CONNECTION LIMIT 50");
  const found = audit();
  expect(found.status, found.output).toBe(2);
  expect(found.stdout).toMatch(/privilege +gtuser +USAGE on schema lg +denied +allowed/);
  expect(found.stdout).toContain("2 findings on stack prod.");
  await superuser.query(audit("--fix-sql").stdout);
  await superuser.end();
  expect(audit().status).toBe(0);
});

it("a renewed certificate is served without a restart, a rotated password opens the door, and old sessions go on", async () => {
  const started = containersStarted();
  const session = await loggedIn("gatherer", "app");
  const other = await loggedIn("aggregator", "app");
  const old = connectionOf("gatherer", "app");
  const certificate = servedBy(session);
  stack.setRegistry(
    services.map((service) => (service.name === "gatherer" ? { ...service, rotation: { app: 2 } } : service)),
  );
  stack.setConfig("centraldb:passwordRotation", { repl: 2, app: 2 });
  const renew = ["primary", "replica"].flatMap((node) => ["--replace", `**::certificates-${node}`]);
  const preview = stack.pulumi("preview", "--diff", ...renew);
  const up = stack.startUp("--skip-preview", ...renew);
  seen["a process list of the rotation"] = await commandLines(up.ended);
  seen["what the rotation's up prints"] = up.output();
  seen["the rotation's preview"] = preview.output;
  const asJson = stack.pulumi("preview", "--json");
  seen["the rotation's preview as JSON"] = asJson.output;
  seen["its summary"] = formatPreview(readPreview(asJson.stdout, "preview"));
  expect(await up.ended, up.output()).toBe(0);

  const now = connectionOf("gatherer", "app");
  expect(now.password).not.toBe(old.password);
  expect(connectionOf("gatherer", "owner")).toMatchObject({ user: "gtown" });
  const renewed = await loggedIn("gatherer", "app");
  expect(servedBy(renewed)).not.toBe(certificate);
  await renewed.end();
  await expect(loggedIn("gatherer", "app", old.password)).rejects.toThrow("password authentication failed");
  expect((await session.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  expect(containersStarted()).toEqual(started);

  // The standby comes back with the new password and certificate.
  const superuser = await stack.superuser();
  await superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
  await waitFor(async () => {
    const { rows } = await superuser.query("SELECT state FROM pg_stat_replication WHERE state = 'streaming'");
    return rows.length === 2; // the standby, and the backup's receiver
  });
  await superuser.end();

  const ended = stack.ops("end-sessions", "gatherer", "app", "--stack", "prod");
  expect(ended.output).toContain(`${stack.prefix}-primary: ended 1 sessions of gtapp`);
  await expect(session.query("SELECT 1")).rejects.toThrow();
  expect((await other.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  await other.end();
});

it("status tells a password the role has set itself, and another rotation takes it back", async () => {
  const client = await loggedIn("gatherer", "app");
  await client.query("ALTER ROLE gtapp PASSWORD 'of its own'");
  await client.end();
  const status = stack.ops("status", "--stack", "prod");
  expect(status.status).toBe(1);
  expect(status.output).toContain(
    "the password of gtapp is not the stack's any more: another rotation in services/registry.ts sets a new one",
  );
  const audit = stack.ops("audit", "--stack", "prod");
  expect(audit.status, audit.output).toBe(2);
  expect(audit.stdout).toMatch(/login +gtapp +login with its password +let in +the password is another/);
  stack.setRegistry(
    services.map((service) => (service.name === "gatherer" ? { ...service, rotation: { app: 3 } } : service)),
  );
  const { status: ended, output } = stack.up("--skip-preview");
  expect(ended, output).toBe(0);
  await (await loggedIn("gatherer", "app")).end();
  expect(stack.ops("status", "--stack", "prod").output).toContain("All is well.");
});

it("no secret is where anybody else could read it: state, previews, output, errors, process lists, the engine, logs, files", () => {
  stack.setConfig("centraldb:extensions", ["citext", "not_there"]);
  const failed = stack.up("--skip-preview");
  expect(failed.output).toContain('extension "not_there" is not available');
  stack.setConfig("centraldb:extensions", ["citext", "pg_trgm"]);
  seen["an error"] = failed.output;
  const secrets = secretsOf(stack);
  expect(secrets.length).toBeGreaterThanOrEqual(39 + 36 + 4 + 1);
  expect(secrets.filter(({ text }) => text.length < 20)).toEqual([]);
  const places = { ...seen, ...readablePlaces(stack), state: stack.state() };
  expect(leaks(secrets, places)).toEqual([]);
  // The search finds what is there.
  const [known] = secrets.filter(({ what }) => what === "gatherer-app-password");
  expect(leaks(secrets, { here: `x${known?.text ?? ""}y` })).toEqual(["gatherer-app-password in here"]);
});

const connectionOf = (service: string, tier: string): Connection => {
  const connection = (stack.output("connections") as Record<string, Record<string, Connection>>)[service]?.[tier];
  if (connection === undefined) throw new Error(`no connection of ${service} ${tier}`);
  return connection;
};
const loggedIn = async (service: string, tier: string, oldPassword?: string): Promise<Client> => {
  const { host, port, user, password, database } = connectionOf(service, tier);
  const ssl = { ca: String(stack.output("caCertificate")) };
  const client = new Client({ host, port, user, password: oldPassword ?? password, database, ssl });
  client.on("error", () => undefined);
  await client.connect();
  return client;
};
const servedBy = (client: Client) =>
  (client as unknown as { connection: { stream: TLSSocket } }).connection.stream.getPeerX509Certificate()
    ?.fingerprint256;
const containersStarted = () =>
  ["primary", "replica"].map((node) =>
    docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", `${stack.prefix}-${node}`),
  );
const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" });
const running = () => docker("ps", "-q", "--no-trunc", "--filter", `name=${stack.prefix}`);

it("destroy is refused whole, in each of its ways, with nothing stopped and nothing removed", () => {
  const before = running();
  for (const options of [[], ["--skip-preview"], ["--skip-preview", "--exclude-protected"]]) {
    expect(stack.pulumi("destroy", "--yes", ...options).output).toMatch(/protected/);
    expect(running()).toBe(before);
  }
  const after = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(after.status, after.output).toBe(0);
});

it("another stack with the same names is refused: it would take the data over, and its destroy would remove them", () => {
  const dev = readFileSync(join(stack.folder, "Pulumi.prod.yaml"), "utf8");
  writeFileSync(join(stack.folder, "Pulumi.dev.yaml"), dev.replace(/protect: .*/, "protect: false"));
  const before = running();
  const other = stack.upOf("dev", "--skip-preview", "--adopt");
  expect(other.status, other.output).not.toBe(0);
  expect(other.output).toContain(
    `the container ${stack.prefix}-primary is of stack "prod": give this stack another prefix`,
  );
  const wiped = stack.ops("wipe", "--stack", "dev", "--confirm", "dev");
  expect(wiped.output).toContain(`${stack.prefix}-primary is of stack prod, not of stack dev`);
  expect(running()).toBe(before);
});

it("wipe removes what destroy may not, after the name was typed", () => {
  const { status, output } = stack.ops("wipe", "--stack", "prod", "--confirm", "prod");
  expect(status, output).toBe(0);
  expect(docker("volume", "ls", "-q", "--filter", `name=${stack.prefix}`)).toBe("");
  expect(running()).toBe("");
});
