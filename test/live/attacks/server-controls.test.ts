import { Client, type ClientConfig } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answer, answers, takeOver, type Attackers } from "../../support/attackers";
import { tiers } from "../../../services/service";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Out of the database: other databases, replication, the server's own controls.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (line text)");
  await server.as("lgown", "CREATE TABLE lg_balances (id int)");
  gatherer = await takeOver(server, "gt");
});
afterAll(async () => {
  await gatherer.end();
  await server.stop();
});

describe("no tier gets out of its database", () => {
  const logIn = async (config: ClientConfig): Promise<string> => {
    const { host, port, database, passwords } = server;
    const client = new Client({ host, port, database, user: "gtuser", password: passwords.get("gtuser"), ...config });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return "let in";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      await client.end();
    }
  };

  it.each([
    ["the database postgres", { database: "postgres" }, 'permission denied for database "postgres"'],
    [
      "template1, whose objects every new database inherits",
      { database: "template1" },
      'permission denied for database "template1"',
    ],
    ["template0", { database: "template0" }, 'database "template0" is not currently accepting connections'],
    ["a replication connection", { replication: "true" }, "permission denied to start WAL sender"],
    ["a logical replication connection", { replication: "database" }, "permission denied to start WAL sender"],
    [
      "a session without the guard",
      { options: "-c session_replication_role=replica" },
      'permission denied to set parameter "session_replication_role"',
    ],
    [
      "a session without its temp_file_limit",
      { options: "-c temp_file_limit=-1" },
      'permission denied to set parameter "temp_file_limit"',
    ],
    ["a session of another role", { options: "-c role=lgown" }, 'permission denied to set role "lgown"'],
    ["the control", { options: "-c work_mem=8MB" }, "let in"],
  ])("by %s", async (_, config: ClientConfig & { readonly replication?: string }, message) => {
    expect(await logIn(config)).toBe(message);
  });

  it.each([
    [
      "a physical slot",
      "SELECT pg_create_physical_replication_slot('x')",
      "permission denied to use replication slots",
    ],
    [
      "logical decoding",
      "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
      "permission denied to use replication slots",
    ],
    ["dropping a slot", "SELECT pg_drop_replication_slot('x')", "permission denied to use replication slots"],
    [
      "reading a slot",
      "SELECT pg_logical_slot_peek_changes('x', NULL, NULL)",
      "permission denied to use replication slots",
    ],
    ["moving a slot", "SELECT pg_replication_slot_advance('x', '0/1')", "permission denied to use replication slots"],
    [
      "a subscription",
      "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)",
      "permission denied to create subscription",
    ],
    ["a publication", "CREATE PUBLICATION p", "permission denied for database appdb"],
    ["dblink", "CREATE EXTENSION dblink", 'permission denied to create extension "dblink"'],
    ["postgres_fdw", "CREATE EXTENSION postgres_fdw", 'permission denied to create extension "postgres_fdw"'],
    ["a prepared transaction", "PREPARE TRANSACTION 'x'", "prepared transactions are disabled"],
    ["a checkpoint", "CHECKPOINT", "permission denied to execute CHECKPOINT command"],
    ["REINDEX of a catalog", "REINDEX TABLE pg_class", "must be owner of table pg_class"],
    [
      "functions for pg_upgrade",
      "SELECT binary_upgrade_set_next_pg_authid_oid(10)",
      "function can only be called when server is in binary upgrade mode",
    ],
    [
      "pg_nextoid",
      "SELECT pg_nextoid('pg_class', 'oid', 'pg_class_oid_index')",
      "must be superuser to call pg_nextoid()",
    ],
  ])("by %s", async (_, sql, message) => {
    expect(await answers(gatherer, sql)).toBe(message);
  });
});

describe("no tier controls the server", () => {
  // Not in a transaction: the answer would be that they run in none.
  it.each([
    ["ALTER SYSTEM", "ALTER SYSTEM SET work_mem = '1GB'", 'permission denied to set parameter "work_mem"'],
    ["a tablespace", "CREATE TABLESPACE x LOCATION '/'", 'permission denied to create tablespace "x"'],
    ["a database", "CREATE DATABASE x", "permission denied to create database"],
    ["dropping one", "DROP DATABASE postgres", "must be owner of database postgres"],
    ["REINDEX DATABASE", "REINDEX DATABASE appdb", "must be owner of database appdb"],
    ["REINDEX SYSTEM", "REINDEX SYSTEM appdb", "must be owner of database appdb"],
    ["REINDEX SCHEMA of another", "REINDEX SCHEMA lg", "must be owner of schema lg"],
  ])("by %s", async (_, sql, message) => {
    for (const tier of tiers) expect(await answer(gatherer[tier], sql)).toBe(message);
  });

  it("by VACUUM of a catalog or of all: what is not its own is skipped", async () => {
    const skipped: string[] = [];
    gatherer.owner.on("notice", ({ message }) => skipped.push(message ?? ""));
    expect(await answer(gatherer.owner, "VACUUM pg_authid")).toBe("done");
    expect(skipped).toEqual(['permission denied to vacuum "pg_authid", skipping it']);
    expect(await answer(gatherer.owner, "VACUUM")).toBe("done");
    expect(skipped).toContain('permission denied to vacuum "lg_balances", skipping it');
    expect(skipped).not.toContain('permission denied to vacuum "gt_own", skipping it');
  });

  it("by any of the superuser's settings", async () => {
    const { rows } = await server.superuser.query<{ name: string }>(
      "SELECT name FROM pg_settings WHERE context = 'superuser' AND category !~ '^Customized'",
    );
    expect(rows.length).toBeGreaterThan(40);
    for (const { name } of rows) {
      expect(await answers(gatherer, `SET ${name} = DEFAULT`)).toBe(`permission denied to set parameter "${name}"`);
    }
  });

  it("by any setting of the server, which nobody's session changes", async () => {
    const { rows } = await server.superuser.query<{ name: string }>(
      "SELECT name FROM pg_settings WHERE context IN ('postmaster', 'sighup')",
    );
    for (const { name } of rows) {
      expect(await answer(gatherer.user, `SET ${name} = DEFAULT`)).toMatch(
        /cannot be changed (now|without restarting the server)$/,
      );
    }
  });

  it("by ending or cancelling whatever runs and is not its own", async () => {
    const other = await server.session("lgapp");
    const { rows } = await server.superuser.query<{ pid: number; usename: string | null }>(
      "SELECT pid, usename FROM pg_stat_activity WHERE backend_type <> ALL ('{checkpointer,background writer,walwriter}') AND coalesce(usename, '') !~ '^gt'",
    );
    expect(rows.map(({ usename }) => usename)).toEqual(expect.arrayContaining([null, "postgres", "lgapp"]));
    for (const { pid } of rows) {
      for (const tier of tiers) {
        expect(await answer(gatherer[tier], `SELECT pg_terminate_backend(${pid})`)).toBe(
          "permission denied to terminate process",
        );
        expect(await answer(gatherer[tier], `SELECT pg_cancel_backend(${pid})`)).toBe(
          "permission denied to cancel query",
        );
      }
    }
    expect(await answer(other, "SELECT 1")).toBe("1");
    await other.end();
  });
});
