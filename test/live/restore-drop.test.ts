import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { superuserRole } from "../../components/access/plan-items";
import { setAsideComment } from "../../components/access/set-aside";
import { originStatement } from "../../ops/restore/databases";
import { dropKept, requireKept } from "../../ops/restore/drop";
import { serviceOfKept } from "../../ops/restore/in-place";
import type { Platform } from "../../ops/restore/platform";
import { steps } from "../../ops/restore/steps";
import { readStack } from "../../ops/stack-file";
import { each, planOfGatherer } from "../support/retire";
import { startTestServer, type TestServer } from "../support/server";

const plan = planOfGatherer({});
const kept = "gt_before_20261127t101500";
const begun = "gt_dropped_20261127t101500";

let server: TestServer;
let superuser: Client;
let platform: Platform;
let said: string[] = [];

beforeAll(async () => {
  // Locks for four hundred objects.
  const few = { max_connections: "20", max_wal_senders: "0", max_worker_processes: "0" };
  server = await startTestServer(plan, { ...few, max_locks_per_transaction: "10" });
  ({ superuser } = server);
  await server.apply(plan);
  await superuser.query(`ALTER ROLE ${superuserRole} PASSWORD 'of the superuser'`);
  const logins = { ...server, passwords: new Map([[superuserRole, "of the superuser"]]) };
  platform = { stack: readStack("dev"), plan, applied: undefined, logins };
});
afterAll(() => server.stop());

/** What a restore has kept, with what this makes in it as the service's owner; everything before it is in gt. */
async function isKept(schema: string, ...statements: readonly string[]): Promise<void> {
  await superuser.query("SET session_replication_role = replica; SET ROLE gtown");
  for (const statement of statements) await superuser.query(statement);
  await superuser.query("RESET ROLE; RESET session_replication_role");
  await superuser.query(`ALTER SCHEMA gt RENAME TO ${schema}; ALTER SCHEMA ${schema} OWNER TO ${superuserRole}`);
  await server.apply(plan);
}

async function drop(name: string, on = platform): Promise<void> {
  said = [];
  const write = (line: string) => said.push(line.replace(/\(.* s\)/, "").trim());
  await dropKept(on, await requireKept(on, name), steps(1, write));
}

/** Schemas and databases that a restore has made. */
async function left(): Promise<readonly string[]> {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT nspname::text AS name FROM pg_namespace WHERE nspname ~ '_\\d{8}t\\d{6}$'
      UNION SELECT datname FROM pg_database WHERE datname ~ '_\\d{8}t\\d{6}$' ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

/** More than the server has locks. */
const many = [
  each(600, "CREATE FUNCTION gt.f#() RETURNS int LANGUAGE sql RETURN 1", "CREATE SEQUENCE gt.gt_s#"),
  "CREATE TABLE gt.gt_rows (id int)",
];

describe("what a restore has kept", () => {
  it("is dropped in parts where it has more than the server has locks, and nothing else", async () => {
    await isKept(kept, ...many);
    await server.as("gtown", "CREATE TABLE gt_new (id int); INSERT INTO gt_new VALUES (1)");
    await expect(superuser.query(`DROP SCHEMA ${kept} CASCADE`)).rejects.toThrow("out of shared memory");
    await drop(kept);
    expect(said[0]).toBe(`1/1 drop the schema ${kept}`);
    expect(said[1]).toMatch(/^it is gone, in \d+ parts$/);
    expect(await left()).toEqual([]);
    expect(await server.as("gtuser", "SELECT id FROM gt_new")).toEqual([{ id: 1 }]);
  });

  it("bears another name when a part is gone: no swap takes it for what it was, and the same command goes on", async () => {
    await isKept(kept, ...many);
    await expect(drop(kept, { ...platform, signal: AbortSignal.abort(new Error("stopped")) })).rejects.toThrow(
      /^stopped$/,
    );
    expect(await left()).toEqual([begun]);
    expect(serviceOfKept(plan, begun)).toBeUndefined();
    await drop(kept);
    expect(said[0]).toBe(`1/1 drop the schema ${begun}`);
    expect(await left()).toEqual([]);
  });

  it("stays, and its name too, while another service's view stands on it", async () => {
    await server.as("gtown", "CREATE TABLE gt_seen (id int)");
    await superuser.query("CREATE VIEW ag.ag_view AS SELECT id FROM gt.gt_seen; ALTER VIEW ag.ag_view OWNER TO agown");
    await isKept(kept);
    await expect(drop(kept)).rejects.toThrow(
      "nothing was dropped: view ag.ag_view of another service stands on it: its owner drops it first",
    );
    expect(await left()).toEqual([kept]);
    await server.as("agown", "DROP VIEW ag_view");
    await drop(kept);
    expect(said[1]).toBe("it is gone");
    expect(await left()).toEqual([]);
  });

  it("is not dropped while it is what the service had, and is to get back", async () => {
    await isKept(kept);
    await superuser.query(`COMMENT ON SCHEMA ${kept} IS '${setAsideComment}'`);
    await expect(drop(kept)).rejects.toThrow(`${kept} is what the service had`);
    await superuser.query(`COMMENT ON SCHEMA ${kept} IS NULL`);
    await drop(kept);
    expect(await left()).toEqual([]);
  });

  it("is a database too, while nobody is in it", async () => {
    const database = "appdb_before_20261127t101500";
    await superuser.query(`CREATE DATABASE ${database}`);
    await superuser.query(originStatement(database, { is: "before", backup: null, only: null, complete: true }));
    await drop(database);
    expect(said).toEqual([`1/1 drop the database ${database}`, "it is gone"]);
    expect(await left()).toEqual([]);
  });
});

describe("whatever else there is", () => {
  it.each([
    "gt",
    "appdb",
    "postgres",
    "pg_catalog",
    "appdb_before_20261127t101501",
    "gt_before_x",
    "zz_before_20261127t101500",
  ])("is refused: %s", async (name) => {
    await superuser.query("CREATE DATABASE appdb_before_20261127t101501"); // a person's
    try {
      await expect(drop(name)).rejects.toThrow(`${name} is no database that was restored or kept: there are none`);
    } finally {
      await superuser.query("DROP DATABASE appdb_before_20261127t101501");
    }
  });

  it("is refused where it has such a name, and is not the superuser's, or is not there", async () => {
    await superuser.query(
      "CREATE SCHEMA gt_failed_20261127t101501; CREATE SCHEMA gt_failed_20261127t101502 AUTHORIZATION gtown",
    );
    for (const name of ["gt_failed_20261127t101500", "gt_failed_20261127t101502"]) {
      await expect(drop(name)).rejects.toThrow(
        `${name} is no schema of appdb that was kept: there are gt_failed_20261127t101501`,
      );
    }
    await drop("gt_failed_20261127t101501");
    await superuser.query("DROP SCHEMA gt_failed_20261127t101502");
    expect(await left()).toEqual([]);
  });
});
