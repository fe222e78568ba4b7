import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type QueryResult } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { FilesOnDisk, ServerStatus } from "../../../ops/status/collect";
import { services } from "../../../services/registry";
import { answer, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// What a taken-over gatherer does to VACUUM, transaction ids and the disk, all of which the services share. PostgreSQL has
// no limit for these: every title says what happens, so that whoever looks after the server knows it.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;
let ledger: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (id int)");
  await server.as("lgown", "CREATE TABLE lg_balances (id int)");
});
afterAll(() => server.stop());
beforeEach(async () => {
  gatherer = await takeOver(server, "gt");
  ledger = await server.session("lgown");
});
afterEach(async () => {
  // The last test ends them.
  await Promise.allSettled([gatherer.end(), ledger.end()]);
});

/** What VACUUM says of the ledger's rows. */
async function vacuum(): Promise<string | undefined> {
  const said: string[] = [];
  ledger.on("notice", ({ message }) => said.push(message ?? ""));
  await ledger.query("VACUUM (VERBOSE) lg_balances");
  return said.flatMap((text) => /tuples: .*/.exec(text) ?? [])[0];
}

describe("open: a transaction a user leaves open", () => {
  beforeEach(() => gatherer.user.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"));

  it("keeps VACUUM from removing what other services deleted, until it ends", async () => {
    await ledger.query("INSERT INTO lg_balances SELECT generate_series(1, 100); DELETE FROM lg_balances");
    expect(await vacuum()).toBe("tuples: 0 removed, 100 remain, 100 are dead but not yet removable");
    await gatherer.user.query("ROLLBACK");
    expect(await vacuum()).toBe("tuples: 100 removed, 0 remain, 0 are dead but not yet removable");
  });

  it("keeps CREATE INDEX CONCURRENTLY of other services waiting, for their lock_timeout", async () => {
    await ledger.query("SET lock_timeout = '200ms'");
    expect(await answer(ledger, "CREATE INDEX CONCURRENTLY lg_i ON lg_balances (id)")).toBe(
      "canceling statement due to lock timeout",
    );
    await gatherer.user.query("ROLLBACK");
    expect(await answer(ledger, "REINDEX INDEX CONCURRENTLY lg_i")).toBe("done"); // what was left of it
    await ledger.query("DROP INDEX lg_i");
  });

  it("is ended after 60 s by the plan's setting, which any session may SET away", async () => {
    await gatherer.user.query("ROLLBACK; RESET idle_in_transaction_session_timeout");
    expect(await answer(gatherer.user, "SHOW idle_in_transaction_session_timeout")).toBe("1min");
    expect(await answer(gatherer.user, "SET idle_in_transaction_session_timeout = 0")).toBe("done");
  });
});

describe("VACUUM", () => {
  it("open: of all stops where a user has granted itself what it has on the database, until that ends", async () => {
    await gatherer.user.query("BEGIN; GRANT CONNECT ON DATABASE appdb TO gtuser");
    await ledger.query("SET lock_timeout = '200ms'");
    // Every row of a table that is frozen moves the database's limit, which is in that row.
    expect(await answer(ledger, "VACUUM (FREEZE) lg_balances")).toBe("canceling statement due to lock timeout");
    await gatherer.user.query("ROLLBACK");
    expect(await answer(ledger, "VACUUM (FREEZE) lg_balances")).toBe("done");
  });
});

describe("open: transaction ids", () => {
  it("an owner's loop takes a hundred thousand in a second, an app one for each statement", async () => {
    const next = async () => Number(await answer(gatherer.app, "SELECT txid_current()"));
    const before = await next();
    expect(await next()).toBe(before + 1);
    await gatherer.owner.query(
      `DO $$ BEGIN FOR n IN 1..100000 LOOP
         BEGIN INSERT INTO gt_own VALUES (n); EXCEPTION WHEN division_by_zero THEN NULL; END;
       END LOOP; END $$`,
    );
    expect(await next()).toBe(before + 100_003);
    expect(await answer(gatherer.app, "DO 'BEGIN END'")).toBe("permission denied for language plpgsql");
    expect(await answer(gatherer.user, "DO 'BEGIN END'")).toBe("permission denied for language plpgsql");
  });
});

describe("open: the disk", () => {
  it("a user writes to it by its own settings, a megabyte each time", async () => {
    const size = async () =>
      Number(await answer(server.superuser, "SELECT pg_total_relation_size('pg_db_role_setting')"));
    const before = await size();
    for (let n = 0; n < 5; n++) {
      const noise = Array.from({ length: 100_000 }, () => Math.random().toString(36).slice(2, 10)).join("-");
      await gatherer.user.query(`ALTER ROLE gtuser SET search_path = '${noise}'`);
    }
    expect((await size()) - before).toBeGreaterThan(2_000_000);
    await server.apply(plan);
  });

  it("an app by its rows: a tenth of a gigabyte of WAL and table in one statement", async () => {
    const written = await answer(server.superuser, "SELECT pg_current_wal_lsn()");
    await server.as("gtown", "CREATE TABLE gt_flood (x text STORAGE PLAIN)");
    await gatherer.app.query("INSERT INTO gt_flood SELECT repeat('x', 5000) FROM generate_series(1, 15000)");
    const sizes = `SELECT pg_relation_size('gt.gt_flood') > 100000000 AND pg_current_wal_lsn() - '${written}'::pg_lsn > 70000000`;
    expect(await answer(server.superuser, sizes)).toBe("true");
    await server.as("gtown", "DROP TABLE gt_flood");
  });

  it("and is told by status for what it is, also of tables that are locked and kept from autovacuum", async () => {
    const { schemas: before } = await files(server);
    await gatherer.owner.query(`CREATE TABLE gt_hidden (id int PRIMARY KEY, x text)
      WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false)`);
    await gatherer.owner.query(
      "INSERT INTO gt_hidden SELECT n, string_agg(md5(random()::text), '') FROM generate_series(1, 100) n, generate_series(1, 500) GROUP BY n",
    );
    const told =
      "SELECT pg_total_relation_size('gt.gt_hidden')::int AS bytes, relpages FROM pg_class WHERE relname = 'gt_hidden'";
    const { rows } = await server.superuser.query<{ bytes: number; relpages: number }>(told);
    const [{ bytes, relpages } = { bytes: 0, relpages: 1 }] = rows;
    expect([bytes > 1_000_000, relpages]).toEqual([true, 0]);
    await gatherer.owner.query("BEGIN; LOCK TABLE gt_hidden");
    const { schemas: after } = await files(server);
    await gatherer.owner.query("COMMIT; DROP TABLE gt_hidden");
    expect(after).toEqual({ ...before, gt: (before["gt"] ?? 0) + bytes });
  });
});

describe("the catalogs all services share", () => {
  it("are told by status: how many objects a service has of whatever kind, and how large comments and definitions of all are", async () => {
    const [before, objectsBefore] = [await files(server), await objects()];
    await gatherer.owner.query(
      `DO $$ BEGIN FOR n IN 1..40 LOOP EXECUTE format('CREATE FUNCTION gt.gt_many%s() RETURNS int LANGUAGE sql RETURN 1', n); END LOOP; END $$;
       CREATE TYPE gt.gt_letters AS ENUM ('a'); CREATE TYPE gt.gt_pair AS (a int, b int); CREATE DOMAIN gt.gt_word AS text;
       CREATE TABLE gt_noted (id int PRIMARY KEY, note text)`,
    );
    const noise = Array.from({ length: 300_000 }, () => Math.random().toString(36).slice(2, 10)).join("-");
    await gatherer.owner.query(`COMMENT ON TABLE gt_noted IS '${noise}'`);
    const [after, objectsAfter] = [await files(server), await objects()];
    await gatherer.owner.query(
      `DO $$ BEGIN FOR n IN 1..40 LOOP EXECUTE format('DROP FUNCTION gt.gt_many%s()', n); END LOOP; END $$;
       DROP TYPE gt.gt_letters, gt.gt_pair; DROP DOMAIN gt.gt_word; DROP TABLE gt_noted`,
    );
    // Of the table also its index and its TOAST table; others are as they were.
    expect(objectsAfter).toEqual({ ...objectsBefore, gt: (objectsBefore["gt"] ?? 0) + 46 });
    expect(after.catalogs - before.catalogs).toBeGreaterThan(1_500_000);
    expect((after.schemas["gt"] ?? 0) - (before.schemas["gt"] ?? 0)).toBeLessThan(1_500_000);
  });
});

// The last of this file: the server restarts.
describe("open: a crash", () => {
  it("leaves the file of a table that was not committed, which status tells, and not while it is being written", async () => {
    await server.superuser.query("CREATE ROLE looker SUPERUSER LOGIN PASSWORD 'looker'");
    await server.as("lgown", "TRUNCATE lg_balances; INSERT INTO lg_balances VALUES (1)");
    await gatherer.owner.query("BEGIN; CREATE TABLE gt_never AS SELECT generate_series(1, 100000) AS n");
    const { rows } = await gatherer.owner.query<{ path: string; bytes: string }>(
      "SELECT pg_relation_filepath('gt_never') AS path, pg_relation_size('gt_never') AS bytes",
    );
    await sleep(2_500);
    expect((await files(server)).orphans).toEqual({ bytes: 0, files: 0, largest: [] });
    const pid = Number(await answer(gatherer.owner, "SELECT pg_backend_pid()"));
    process.kill(pid, "SIGKILL");
    // The server's sessions have ended, the superuser's too.
    const found = await vi.waitFor(
      async () => {
        const superuser = new Client({ ...server, user: "looker", password: "looker" });
        await superuser.connect();
        const now = await files({ superuser }).finally(() => superuser.end());
        expect(now.orphans.files).toBeGreaterThan(0);
        return now;
      },
      { timeout: 30_000, interval: 200 },
    );
    const [never] = rows;
    expect(found.orphans).toEqual({
      bytes: expect.any(Number) as number,
      files: expect.any(Number) as number,
      largest: expect.arrayContaining([never?.path]) as string[],
    });
    expect(found.orphans.bytes).toBeGreaterThanOrEqual(Number(never?.bytes));
    expect(await server.as("lgown", "SELECT count(*)::int AS rows FROM lg_balances")).toEqual([{ rows: 1 }]);
  });
});

/** As status asks. */
async function files({ superuser }: { readonly superuser: Client }): Promise<FilesOnDisk> {
  const query = readFileSync(join(__dirname, "..", "..", "..", "ops", "status", "files.sql"), "utf8");
  const results = (await superuser.query(query)) as unknown as QueryResult<Record<string, FilesOnDisk>>[];
  await superuser.query("RESET ALL");
  const [found] = Object.values(results.at(-1)?.rows[0] ?? {});
  if (found === undefined) throw new Error("it says nothing");
  return found;
}

/** Of each service's schema, as status counts them. */
async function objects(): Promise<Readonly<Record<string, number>>> {
  const query = readFileSync(join(__dirname, "..", "..", "..", "ops", "status", "server.sql"), "utf8");
  const app = await server.session("app");
  const results = (await app.query(query)) as unknown as QueryResult<Record<string, ServerStatus>>[];
  await app.end();
  const { schemas = [] } = Object.values(results.at(-1)?.rows[0] ?? {})[0] ?? {};
  return Object.fromEntries(schemas.map(({ name, objects: number }) => [name, number]));
}
