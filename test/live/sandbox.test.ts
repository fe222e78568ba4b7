import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPasswords } from "../../ops/sandbox/credentials";
import { isServed, stopLeftover } from "../../ops/sandbox/embedded-server";
import { freePort } from "../support/server";

// `npm start`, as a person runs it, in a folder of the test's own.
const root = join(__dirname, "..", "..");
const program = ["--import", "tsx", join(root, "ops", "sandbox", "main.ts")];
let folder: string;
let port: number;
let started: ChildProcess[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-sandbox-"));
  chmodSync(folder, 0o755);
  port = await freePort();
  started = [];
});
afterEach(async () => {
  for (const child of started.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
  }
  for (const data of ["replica", "data"].map((name) => join(folder, name))) if (existsSync(data)) stopLeftover(data);
  rmSync(folder, { recursive: true });
});

const options = () => ["--port", String(port), "--folder", folder];

function run(...more: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...program, ...options(), ...more], {
    cwd: root,
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}

/** Starts a sandbox that stays, and waits until it says so. */
async function start(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...program, ...options()], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (text: Buffer) => {
      if (text.toString().includes("Ctrl-C stops the servers")) resolve();
    });
    child.once("exit", (status) => reject(new Error(`the sandbox ended with ${status ?? "a signal"}`)));
  });
  return child;
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return ended;
}

const onReplica = (role: string, sql: string) => query(role, sql, port + 1);

async function query(role: string, sql: string, at = port): Promise<unknown[]> {
  const password = readPasswords(join(folder, "credentials.env")).get(role);
  const client = new Client({ host: "127.0.0.1", port: at, user: role, password, database: "appdb" });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("npm start", () => {
  it("gives the twelve services, says how to connect, and ends cleanly with --once", () => {
    const { status, output } = run("--once");
    expect(output).toMatch(/^gatherer +gt +gtown +gtapp +gtuser +gt_raw_data, gt_sources$/m);
    expect(output).toMatch(/^Effect test: \d{4,} attempts as 36 roles, every outcome as planned\.$/m);
    expect(output).toContain('psql "$GTAPP_URL"');
    expect(status).toBe(0);
    expect(statSync(join(folder, "credentials.env")).mode & 0o777).toBe(0o600);
    const ops = [
      ...program.slice(0, 2),
      join(root, "ops", "main.ts"),
      "connect",
      "gatherer",
      "user",
      "--sandbox",
      folder,
    ];
    const password = readPasswords(join(folder, "credentials.env")).get("gtuser") ?? "";
    expect(spawnSync(process.execPath, ops, { cwd: root, encoding: "utf8" }).stdout).toBe(
      `postgresql://gtuser:${password}@127.0.0.1:${port}/appdb\n`,
    );
    expect(isServed(join(folder, "data"))).toBe(false);
    expect(readFileSync(join(folder, "server.log"), "utf8")).toContain("database system is shut down");
  });

  it("keeps data and passwords between runs, stops on Ctrl-C, and cleans up after a crash; not twice in one folder", async () => {
    const first = await start();
    expect(run("--once")).toEqual({
      status: 1,
      output: expect.stringMatching(
        /^a sandbox is running in this folder already \(process \d+\): use it, or stop it first; .*\n$/,
      ) as string,
    });
    await query("gtown", "CREATE TABLE gt_raw_data (id int)");
    await query("gtapp", "INSERT INTO gt_raw_data VALUES (1)");
    // The socket asks for the password too: nobody on this machine gets in unasked.
    const unasked = new Client({ host: "/tmp", port, user: "postgres", password: "guessed", database: "appdb" });
    await expect(unasked.connect()).rejects.toThrow('password authentication failed for user "postgres"');
    expect(await stop(first, "SIGINT")).toBe(0);
    expect(isServed(join(folder, "data"))).toBe(false);

    const second = await start();
    expect(await query("gtuser", "SELECT * FROM gt_raw_data")).toEqual([{ id: 1 }]);
    // kill -9: the server stays behind, without its parent.
    await stop(second, "SIGKILL");
    expect(isServed(join(folder, "data"))).toBe(true);

    const third = run("--once");
    for (const data of ["data", "replica"]) {
      expect(third.output).toContain(`stopping the server an earlier run left behind in ${join(folder, data)}`);
    }
    expect(third.status).toBe(0);
  });

  it("has a replica that follows, refuses writes, and is made anew when somebody promoted it", async () => {
    const first = await start();
    await query("gtown", "CREATE TABLE gt_raw_data (id int)");
    await query("gtapp", "INSERT INTO gt_raw_data VALUES (1)");
    await expect.poll(() => onReplica("gtuser", "SELECT * FROM gt_raw_data").catch(String)).toEqual([{ id: 1 }]);
    await expect(onReplica("gtapp", "INSERT INTO gt_raw_data VALUES (2)")).rejects.toThrow("read-only transaction");
    expect(statSync(join(folder, "replica.pgpass")).mode & 0o777).toBe(0o600);

    await onReplica("postgres", "SELECT pg_promote()");
    await onReplica("gtapp", "INSERT INTO gt_raw_data VALUES (2)");
    await stop(first, "SIGINT");
    await start();
    await expect.poll(() => onReplica("gtuser", "SELECT * FROM gt_raw_data").catch(String)).toEqual([{ id: 1 }]);
    await query("gtapp", "INSERT INTO gt_raw_data VALUES (3)");
    await expect
      .poll(() => onReplica("gtuser", "SELECT * FROM gt_raw_data").catch(String))
      .toEqual([{ id: 1 }, { id: 3 }]);
  });

  it("says in one line that a port is in use, and which other could be taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    const result = run("--once");
    await new Promise((resolve) => other.close(resolve));
    expect(result).toEqual({
      status: 1,
      output: `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another with --port ${otherPort(port)}\n`,
    });
  });

  it("keeps what it cannot serve and says what to do; asks before --reset, and deletes nothing but its own files", () => {
    expect(run("--once").status).toBe(0);
    const before = readFileSync(join(folder, "credentials.env"), "utf8");
    writeFileSync(join(folder, "data", "PG_VERSION"), "15\n");
    expect(run("--once")).toEqual({
      status: 1,
      output: `${join(folder, "data")} holds data of PostgreSQL 15, this is 16: keep the folder and move it away, or start with --reset to delete it\n`,
    });
    writeFileSync(join(folder, "data", "PG_VERSION"), "16\n");

    rmSync(join(folder, "credentials.env"));
    const { status, output } = run("--once");
    expect(output).toContain("put the file back, or delete the data with --reset");
    expect(status).toBe(1);
    writeFileSync(join(folder, "credentials.env"), before);

    writeFileSync(join(folder, "notes.txt"), "mine");
    expect(run("--once", "--reset")).toEqual({
      status: 1,
      output: `--reset deletes ${folder}: add --yes to confirm\n`,
    });
    expect(readFileSync(join(folder, "credentials.env"), "utf8")).toBe(before);
    expect(run("--once", "--reset", "--yes").status).toBe(0);
    expect(readFileSync(join(folder, "credentials.env"), "utf8")).not.toBe(before);
    expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe("mine");
  });

  it("refuses a bad port and unknown options with one line", () => {
    const { status, output } = run("--once", "--port", "70000");
    expect(status).toBe(1);
    expect(output).toContain("expected a port from 1 to 65535.");
    expect(run("--onec").output).toContain("Did you mean --once?");
  });
});

function otherPort(taken: number): number {
  return taken + (taken < 55_000 ? 10_000 : -10_000);
}
