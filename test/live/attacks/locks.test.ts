import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, answers, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Built-in functions that lock what they are given before they ask for a right to it.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;
let ledger: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as(
    "lgown",
    "CREATE TABLE lg_balances (id int PRIMARY KEY, note text); CREATE VIEW lg_view AS SELECT * FROM lg_balances",
  );
});
afterAll(() => server.stop());
beforeEach(async () => {
  gatherer = await takeOver(server, "gt");
  ledger = await server.session("lgown");
  await ledger.query("SET lock_timeout = '300ms'");
});
afterEach(async () => {
  await gatherer.end().catch(() => undefined); // some are ended by the plan
  await ledger.end();
});

const oid = (name: string) => `(SELECT oid FROM pg_class WHERE relname = '${name}')::regclass`;

/** Which locks `session` has on a relation, with what it did rolled back to a savepoint. */
async function locksAfter(session: Client, relation: string, sql: string): Promise<string> {
  await session.query("BEGIN; SAVEPOINT s");
  await answer(session, sql);
  await session.query("ROLLBACK TO s");
  return answer(
    session,
    `SELECT coalesce(string_agg(mode, ' '), 'none') FROM pg_locks
      WHERE pid = pg_backend_pid() AND relation = ${oid(relation)} AND relation <> 'pg_class'::regclass`,
  );
}

describe("what everybody reads of PostgreSQL", () => {
  it("is locked by nobody who may only read it, pg_settings neither", async () => {
    const writable = `SELECT count(*) FROM pg_class
      WHERE relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND relkind IN ('r', 'v')
        AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')`;
    for (const session of [gatherer.user, gatherer.app, gatherer.owner]) {
      expect(await answer(session, writable)).toBe("0");
      expect(await answer(session, "BEGIN; LOCK TABLE pg_settings IN ACCESS EXCLUSIVE MODE")).toBe(
        "permission denied for view pg_settings",
      );
      await session.query("ROLLBACK");
      expect(await answer(session, "SELECT count(*) > 300 FROM pg_settings")).toBe("true");
    }
  });
});

describe("another service's table", () => {
  it.each([
    ["nextval", `nextval(${oid("lg_balances")})`],
    ["currval", `currval(${oid("lg_balances")})`],
    ["setval", `setval(${oid("lg_balances")}, 1)`],
    ["pg_sequence_last_value", `pg_sequence_last_value(${oid("lg_balances")})`],
  ])(
    "is not locked by a user through %s; open: by an app or owner, and its owner's DDL waits for its lock_timeout",
    async (name, call) => {
      expect(await answer(gatherer.user, `SELECT ${call}`)).toBe(`permission denied for function ${name}`);
      for (const session of [gatherer.app, gatherer.owner]) {
        expect(await locksAfter(session, "lg_balances", `SELECT ${call}`)).toBe("RowExclusiveLock");
        expect(await answer(ledger, "CREATE INDEX ON lg_balances (note)")).toBe(
          "canceling statement due to lock timeout",
        );
        expect(await answer(ledger, "INSERT INTO lg_balances VALUES (1); DELETE FROM lg_balances")).toBe("done");
        await session.query("ROLLBACK");
      }
    },
  );

  it("open: is locked as by a reader where anybody asks for a definition that names it, and ALTER TABLE waits for its lock_timeout", async () => {
    await gatherer.user.query(`BEGIN; SELECT pg_get_viewdef(${oid("lg_view")})`);
    expect(await answer(ledger, "ALTER TABLE lg_balances ADD COLUMN more int")).toBe(
      "canceling statement due to lock timeout",
    );
    expect(await answer(ledger, "CREATE INDEX ON lg_balances (note)")).toBe("done");
    await gatherer.user.query("ROLLBACK");
  });

  it.each([
    "brin_summarize_new_values($)",
    "brin_summarize_range($, 0)",
    "brin_desummarize_range($, 0)",
    "gin_clean_pending_list($)",
  ])("is not kept from autovacuum by %s, which waits for a lock on the index of anybody", async (call) => {
    const [name = ""] = call.split("(");
    expect(await answers(gatherer, `SELECT ${call.replace("$", oid("lg_balances_pkey"))}`)).toBe(
      `permission denied for function ${name}`,
    );
  });
});

describe("another service's schema", () => {
  it("is not locked by DROP SCHEMA, which would wait for whoever makes something in it, and its owner's DDL behind that", async () => {
    const second = await server.session("lgown");
    await second.query("BEGIN; CREATE TABLE lg_made ()");
    for (const [session, role] of [
      [gatherer.owner, "gtown"],
      [gatherer.app, "gtapp"],
      [gatherer.user, "gtuser"],
    ] as const) {
      const dropped = answer(session, "DROP SCHEMA lg");
      await sleep(500);
      expect(await answer(ledger, "CREATE TABLE lg_beside (); DROP TABLE lg_beside")).toBe("done");
      expect(await dropped).toBe(`DROP SCHEMA is not for ${role}: it would lock what is not its own`);
    }
    await second.query("ROLLBACK");
    await second.end();
  });
});

describe("the catalogs", () => {
  it.each([
    ["nextval", "SELECT nextval('pg_class'::regclass)"],
    ["PREPARE", "PREPARE p AS DELETE FROM pg_catalog.pg_proc"],
  ])("locked in an open transaction do not keep the plan waiting: by %s", async (_, sql) => {
    await gatherer.owner.query("BEGIN; SAVEPOINT s");
    if ((await answer(gatherer.owner, sql)) !== "done") await gatherer.owner.query("ROLLBACK TO s");
    expect(
      await answer(
        gatherer.owner,
        "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock'",
      ),
    ).toBe("RowExclusiveLock");
    await server.apply(plan);
    expect(await answer(gatherer.owner, "SELECT 1")).not.toBe("1");
    expect(await answer(gatherer.app, "SELECT 1")).toBe("1");
  });

  it.each([
    ["CREATE RULE", "CREATE RULE r AS ON INSERT TO pg_catalog.pg_class DO NOTHING"],
    [
      "CREATE TRIGGER",
      "CREATE TRIGGER t BEFORE INSERT ON pg_catalog.pg_class EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
  ])("are not locked against everybody: %s is refused before it waits for whoever reads them", async (command, sql) => {
    const second = await server.session("gtown");
    await second.query("BEGIN; SELECT FROM pg_class LIMIT 1; PREPARE p AS DELETE FROM pg_catalog.pg_class");
    for (const tier of command === "CREATE RULE" ? (["owner", "app", "user"] as const) : (["app", "user"] as const)) {
      const role = { owner: "gtown", app: "gtapp", user: "gtuser" }[tier];
      expect(await answer(gatherer[tier], sql)).toBe(
        `${command} is not for ${role}: it would lock what is not its own`,
      );
    }
    await second.end();
  });

  it.each([
    "ALTER MATERIALIZED VIEW pg_catalog.pg_class DEPENDS ON EXTENSION plpgsql",
    "ALTER INDEX pg_catalog.pg_class_oid_index DEPENDS ON EXTENSION plpgsql",
    "ALTER TABLE gt.gt_own DETACH PARTITION pg_catalog.pg_class",
  ])(
    "are not locked against everybody by an app or user, by an owner for 10 s at a time, whatever its lock_timeout: %s",
    async (sql) => {
      for (const [tier, role] of [
        ["app", "gtapp"],
        ["user", "gtuser"],
      ] as const)
        expect(await answer(gatherer[tier], sql)).toMatch(`is not for ${role}: it would lock what is not its own`);
      await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_own (id int) PARTITION BY LIST (id)");
      const second = await server.session("gtown");
      await second.query("BEGIN; SELECT FROM pg_class LIMIT 1");
      await gatherer.owner.query("SET lock_timeout = 0");
      expect(await answer(gatherer.owner, `BEGIN; SET LOCAL lock_timeout = 0; ${sql}`)).toBe(
        "canceling statement due to lock timeout",
      );
      await gatherer.owner.query("ROLLBACK");
      await second.end();
    },
  );

  it("asked for behind a session that reads them do not keep the plan waiting, nor a freeze", async () => {
    const frozen = testPlan(
      services
        .filter(({ code }) => ["gt", "lg"].includes(code))
        .map((service) => (service.code === "gt" ? { ...service, lifecycle: "frozen" as const } : service)),
    );
    await gatherer.end();
    for (const applied of [plan, frozen]) {
      gatherer = await takeOver(server, "gt");
      await gatherer.app.query("BEGIN; SELECT FROM pg_proc LIMIT 1");
      const queued = "SELECT count(*) FROM pg_lock_status() WHERE NOT granted AND relation = 1255"; // pg_proc
      // Once before: what is looked up of functions is known then, and asked for no more.
      expect(await answer(server.superuser, queued)).toBe("0");
      const waiting = answer(gatherer.owner, "ALTER MATERIALIZED VIEW pg_catalog.pg_proc DEPENDS ON EXTENSION plpgsql");
      await expect.poll(() => answer(server.superuser, queued)).toBe("1");
      await server.apply(applied);
      // Ended, or at the end of its 10 s: before the plan's, which come later.
      expect(await waiting).toMatch(/terminating connection|lock timeout/);
      await gatherer.end().catch(() => undefined);
    }
    await server.apply(plan);
  });

  it.each([
    ["COMMENT", "COMMENT ON TABLE pg_catalog.pg_attribute IS 'x'"],
    ["CREATE STATISTICS", "CREATE STATISTICS gt.gt_s ON relname, relowner FROM pg_catalog.pg_class"],
    ["SECURITY LABEL", "SECURITY LABEL ON TABLE pg_catalog.pg_class IS 'x'"],
  ])("are not locked by an app or user through %s", async (command, sql) => {
    for (const [tier, role] of [
      ["app", "gtapp"],
      ["user", "gtuser"],
    ] as const) {
      await gatherer[tier].query("SET default_transaction_read_only = off");
      expect(await answer(gatherer[tier], sql)).toBe(
        `${command} is not for ${role}: it would lock what is not its own`,
      );
    }
  });

  it("locked by INHERITS, which takes its parents in order, do not keep the plan waiting", async () => {
    await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_lock (id int)");
    await gatherer.app.query("BEGIN; LOCK TABLE gt_lock IN SHARE UPDATE EXCLUSIVE MODE");
    const waiting = answer(gatherer.owner, "CREATE TABLE gt_child () INHERITS (pg_catalog.pg_proc, gt_lock)");
    const held =
      "SELECT count(*) FROM pg_locks WHERE granted AND relation = 'pg_proc'::regclass AND mode = 'ShareUpdateExclusiveLock'";
    await expect.poll(() => answer(server.superuser, held)).toBe("1");
    await server.apply(plan);
    expect(await waiting).toMatch(/terminating connection/);
    await gatherer.end().catch(() => undefined);
    gatherer = await takeOver(server, "gt");
  });

  describe("by ATTACH PARTITION, whose bound sets lock_timeout away", () => {
    /** Waits for whoever reads the catalog. */
    async function attach(catalog: string, readable: string) {
      const number = await answer(server.superuser, `SELECT '${catalog}'::regclass::oid`);
      await gatherer.app.query(`SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT FROM ${readable} LIMIT 1`);
      await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_list (id int) PARTITION BY LIST (id)");
      const process = Number(await answer(gatherer.owner, "SELECT pg_backend_pid()"));
      const waiting = answer(
        gatherer.owner,
        `ALTER TABLE gt_list ATTACH PARTITION pg_catalog.${catalog}
           FOR VALUES IN (length(set_config('lock_timeout', '0', true)))`,
      );
      const queued = () =>
        answer(
          server.superuser,
          `SELECT count(*) FROM pg_lock_status() WHERE NOT granted AND relation = ${number} AND mode = 'AccessExclusiveLock'`,
        );
      await expect.poll(queued).toBe("1");
      return { process, waiting, queued };
    }
    afterEach(async () => {
      await gatherer.end().catch(() => undefined);
      gatherer = await takeOver(server, "gt");
    });

    it("open: they are locked against everybody for as long as an owner likes; the plan ends its session", async () => {
      const { waiting, queued } = await attach("pg_shdepend", "pg_shdepend");
      await sleep(12_000); // longer than the guard's lock_timeout
      expect(await queued()).toBe("1");
      await server.apply(plan);
      expect(await waiting).toMatch(/terminat/);
    });

    it("open: pg_authid too, then nobody logs in and no plan is applied, until its process is ended", async () => {
      const { process: pid, waiting } = await attach("pg_authid", "pg_roles");
      const login = server.session("lgapp").then(
        (session) => session.end().then(() => "let in"),
        (error: unknown) => String(error),
      );
      await expect(server.apply(plan)).rejects.toThrow("canceling statement due to lock timeout");
      await server.superuser.query("ROLLBACK");
      process.kill(pid, "SIGTERM");
      expect(await waiting).toMatch(/terminat/);
      expect(await login).toBe("let in");
      await server.apply(plan);
    });
  });

  it("open: an owner's trigger or foreign key on one that its other session has locked keeps everybody's DDL waiting, for their lock_timeout", async () => {
    const second = await server.session("gtown");
    await second.query("BEGIN; PREPARE p AS DELETE FROM pg_catalog.pg_class");
    const waiting = answer(gatherer.owner, "CREATE TABLE gt_f (id oid REFERENCES pg_catalog.pg_class (oid))");
    const queued = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pg_class'::regclass";
    await expect.poll(() => answer(server.superuser, queued)).toBe("1");
    expect(await answer(ledger, "CREATE TABLE lg_new ()")).toBe("canceling statement due to lock timeout");
    expect(await answer(ledger, "SELECT count(*) FROM lg_balances")).toBe("0");
    await second.end();
    expect(await waiting).toBe('permission denied: "pg_class" is a system catalog');
  });
});
