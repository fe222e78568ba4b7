import { execFile } from "node:child_process";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endSessionsOfService } from "../../ops/end-sessions";
import { collectStatus } from "../../ops/status/collect";
import { services } from "../../services/registry";
import { tiers } from "../../services/service";
import { answer } from "../support/attackers";
import { logIn, prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";

// What a taken-over gatherer does to the machine, where the container's limits and the network matter.
const [gatherer, ...others] = services.slice(0, 2);
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 2));
  expect(await cluster.up()).toEqual({ status: 0, stdout: "", output: "" });
});
afterAll(() => cluster.clean());

describe("a session that takes the lock table", () => {
  it("keeps everybody out, the superuser too, until end-sessions ends it, which needs no login", async () => {
    const owner = await cluster.login("primary", "gtown");
    await expect(owner.query("SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 100000) g")).rejects.toThrow(
      "out of shared memory",
    );
    for (const role of ["agapp", "app", "postgres"]) expect(await logIn(cluster, role)).toBe("out of shared memory");
    expect(() => cluster.ask("primary", "SELECT 1")).toThrow("out of shared memory");

    const said: string[] = [];
    if (gatherer === undefined || others.length === 0) throw new Error("the registry is too short");
    const stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
    endSessionsOfService(gatherer, tiers, stack, (text) => said.push(text));
    expect(said).toEqual([
      `${cluster.names.primary.container}: ended 1 sessions of gtown, gtapp, gtuser`,
      `${cluster.names.replica.container}: ended 0 sessions of gtown, gtapp, gtuser`,
    ]);
    await waitFor(async () => (await logIn(cluster, "agapp")) === "let in");
    await expect(owner.query("SELECT 1")).rejects.toThrow();
  });
});

describe("the login of a restore", () => {
  const role = "gtown_restore_0123abcd";
  it("gets in by the socket only, whatever password code of its service has given it, and is ended with its service", async () => {
    const make = `CREATE ROLE ${role} LOGIN IN ROLE gtown PASSWORD 'its own'; GRANT CONNECT ON DATABASE appdb TO ${role}`;
    cluster.ask("primary", make);
    await expect(cluster.login("primary", role, "its own")).rejects.toThrow("pg_hba.conf rejects connection");
    const { names } = cluster;
    const sleeping = ["exec", names.primary.container, "psql", "-U", role, "-d", "appdb", "-c", "SELECT pg_sleep(600)"];
    const ended = new Promise<string>((resolve) => execFile("docker", sleeping, (_, __, stderr) => resolve(stderr)));
    const sessions = `SELECT count(*) FROM pg_stat_activity WHERE usename = '${role}'`;
    await waitFor(() => cluster.ask("primary", sessions) === "1");
    const said: string[] = [];
    if (gatherer === undefined) throw new Error("the registry is too short");
    const stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
    endSessionsOfService(gatherer, tiers, stack, (text) => said.push(text));
    expect(said[0]).toBe(`${names.primary.container}: ended 1 sessions of gtown, gtapp, gtuser`);
    expect(await ended).toContain("terminating connection");
    cluster.ask("primary", `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
});

describe("a table that is locked", () => {
  it("does not keep status waiting", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE TABLE gt_locked (id int); BEGIN; LOCK TABLE gt_locked IN ACCESS EXCLUSIVE MODE");
    const nodes = collectStatus({ name: "dev", settings: cluster.settings, dockerHost: undefined });
    expect(nodes.map(({ server }) => server?.schemas.map(({ name }) => name))).toEqual([
      ["ag", "gt"],
      ["ag", "gt"],
    ]);
    await owner.end();
  });
});

describe("memory", () => {
  it.each(["gtapp", "gtuser"])("a query of %s that wants more than its share fails alone", async (role) => {
    const other = await cluster.login("primary", "agapp");
    const session = await cluster.login("primary", role);
    const rows = "SELECT DISTINCT repeat(i::text, 400) FROM generate_series(1, 3e6) i";
    await expect(session.query(`SET work_mem = '100GB'; SELECT count(*) FROM (${rows}) t`)).rejects.toThrow(
      "out of memory",
    );
    expect((await session.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    expect((await other.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await Promise.all([session.end(), other.end()]);
    expect(cluster.logs("primary")).not.toContain("was terminated by signal");
  });
});

/** A client that says nothing at all: the server has a process for it. */
function silent(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.once("error", reject);
    socket.on("error", () => undefined);
  });
}

/** Who it wants to be, and then nothing: it holds a connection before any limit of a role counts. */
function sayWho(socket: Socket): void {
  const body = Buffer.from("\0\x03\0\0user\0gtapp\0database\0appdb\0\0", "latin1");
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  socket.write(Buffer.concat([length, body]));
}

describe("half-open logins", () => {
  it("of whoever reaches the port hold the others up for authentication_timeout twice, 20 s, and no longer", async () => {
    const established = await cluster.login("primary", "agapp");
    const since = Date.now();
    // So many that the server starts no process any more: twice its connections, and what it has besides.
    const sockets = await Promise.allSettled(
      Array.from({ length: 2 * cluster.settings.maxConnections + 100 }, () => silent(cluster.settings.primaryPort)),
    );
    await waitFor(async () => (await logIn(cluster, "agapp")) === "sorry, too many clients already");
    expect(await logIn(cluster, "postgres")).toBe("sorry, too many clients already");
    expect((await established.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    // Who says who he is has that long again to prove it.
    await sleep(Math.max(0, since + 8_500 - Date.now()));
    for (const socket of sockets) if (socket.status === "fulfilled") sayWho(socket.value);
    await sleep(5_000);
    expect(await logIn(cluster, "postgres")).toBe("sorry, too many clients already");
    await waitFor(async () => (await logIn(cluster, "agapp")) === "let in", 30);
    expect(Date.now() - since).toBeLessThan(30_000); // the timeouts, with all their processes ending on a busy machine
    for (const socket of sockets) if (socket.status === "fulfilled") socket.value.destroy();
    await established.end();
  });
});

describe("a connection that says nothing", () => {
  it("is ended by a freeze, which it would outlive: it is let in by the pg_hba.conf there was when it came", async () => {
    const patient = { postgresqlSettings: { authentication_timeout: "10min" } };
    expect(await cluster.up(patient)).toMatchObject({ status: 0 });
    const socket = await silent(cluster.settings.primaryPort);
    const closed = new Promise((resolve) => socket.once("close", () => resolve("closed")));
    const established = await cluster.login("primary", "agapp");
    const [first, ...rest] = services.slice(0, 2);
    if (first === undefined) throw new Error("the registry is too short");
    const { status, output } = await cluster.up({}, [{ ...first, lifecycle: "frozen" }, ...rest]);
    expect(status, output).toBe(0);
    expect(await Promise.race([closed, sleep(1_000)])).toBe("closed");
    expect((await established.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await established.end();
    expect(await logIn(cluster, "gtapp")).toContain("pg_hba.conf rejects connection");
    expect(await cluster.up({ postgresqlSettings: {} })).toMatchObject({ status: 0 });
    expect(await logIn(cluster, "gtapp")).toBe("let in");
  });
});

describe("the server's log", () => {
  it("has no verifier, also where a role makes the statement that sets it wait, or fail", async () => {
    const superuser = await cluster.login("primary", "postgres");
    const verifier = "SCRAM-SHA-256$4096:not$in:the-log";
    const set = `ALTER ROLE gtuser CONNECTION LIMIT 2 PASSWORD '${verifier}'`;
    const user = await cluster.login("primary", "gtuser");
    await user.query("BEGIN READ WRITE; ALTER ROLE gtuser PASSWORD 'its own'");
    const waiting = superuser.query(`BEGIN; SET LOCAL lock_timeout = '20s'; ${set}; ROLLBACK`);
    await sleep(3_000); // deadlock_timeout, at which a wait is logged, and 500 ms, at which what is slow is
    await user.query("ROLLBACK");
    await waiting;
    await expect(superuser.query(set.replace("LIMIT 2", "LIMIT -7"))).rejects.toThrow("invalid connection limit");
    await Promise.all([superuser.end(), user.end()]);
    await waitFor(() => cluster.logs("primary").includes("invalid connection limit: -7"));
    expect(cluster.logs("primary")).toContain("still waiting for ShareLock");
    expect(cluster.logs("primary")).not.toContain("SCRAM-SHA-256$");
  });
});

describe("what all share", () => {
  it("open: the log has lines that whoever reaches the port makes up, and colours a terminal", async () => {
    const line = "LOG:  made up \u001b[31m";
    await expect(cluster.login("primary", `x\n${line}`, "no password")).rejects.toThrow("authentication failed");
    await waitFor(() =>
      cluster
        .logs("primary")
        .split("\n")
        .some((logged) => logged.startsWith(line)),
    );
  });

  it("open: pg_stat_statements forgets the others' where a user runs many, and its text file grows by what they are long", async () => {
    const known =
      "SELECT count(*) FROM platform.pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE rolname = 'agapp'";
    const aggregator = await cluster.login("primary", "agapp");
    for (let n = 1; n <= 20; n++) await aggregator.query(`SELECT ${Array.from({ length: n }, () => 1).join(" + ")}`);
    expect(Number(cluster.ask("primary", known))).toBeGreaterThan(15);
    const user = await cluster.login("primary", "gtuser");
    const different = Array.from(
      { length: 8192 },
      (_, n) => `SELECT 1${Array.from({ length: 13 }, (_, bit) => ((n >> bit) & 1 ? " + 1" : " - 1")).join("")}`,
    );
    for (let again = 0; again < 3; again++) await user.query(different.join(";"));
    expect(Number(cluster.ask("primary", known))).toBeLessThan(5);
    const size = () =>
      Number(cluster.ask("primary", "SELECT size FROM pg_stat_file('pg_stat_tmp/pgss_query_texts.stat')"));
    await user.query(`SELECT 1 * 1 * 1 ${"/**/ ".repeat(1e6)} AS long`);
    expect(size()).toBeGreaterThan(5_000_000);
    await Promise.all([aggregator.end(), user.end()]);
  });
});

// From here on: the server restarts.
describe("memory of several sessions", () => {
  it("open: that each want a little less than their share, together more than the container has: the server restarts", async () => {
    const sessions = await Promise.all(Array.from({ length: 5 }, () => cluster.login("primary", "gtapp")));
    const rows = "SELECT DISTINCT repeat(i::text, 300) FROM generate_series(1, 2e5) i";
    const hungry = `SET work_mem = '100GB'; SELECT count(*), pg_sleep(3) FROM (${rows}) t`;
    const said = await Promise.all(sessions.map((session) => answer(session, hungry)));
    expect(said).toContain("Connection terminated unexpectedly");
    await waitFor(async () => (await logIn(cluster, "agapp")) === "let in");
    expect(cluster.logs("primary")).toContain("was terminated by signal 9: Killed");
  });
});
