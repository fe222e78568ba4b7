import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../../services/registry";
import { answers, inTransaction, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Out of the database: files, programs, libraries, functions that are for superusers.
const plan = testPlan(services.filter(({ code }) => ["gt", "lg"].includes(code)));
let server: TestServer;
let gatherer: Attackers;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("gtown", "CREATE TABLE gt_own (line text)");
  gatherer = await takeOver(server, "gt");
});
afterAll(async () => {
  await gatherer.end();
  await server.stop();
});

describe("no tier reaches files, programs and libraries", () => {
  it.each([
    [
      "COPY TO PROGRAM",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      "permission denied to COPY to or from an external program",
    ],
    [
      "COPY FROM PROGRAM",
      "COPY gt.gt_own FROM PROGRAM 'true'",
      "permission denied to COPY to or from an external program",
    ],
    ["COPY TO a file", "COPY (SELECT 1) TO '/dev/null'", "permission denied to COPY to a file"],
    ["COPY FROM a file", "COPY gt.gt_own FROM '/dev/null'", "permission denied to COPY from a file"],
    ["LOAD", "LOAD 'citext'", 'access to library "citext" is not allowed'],
    [
      "an XML entity",
      "SELECT xpath('/a/text()', xmlparse(document '<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>'))",
      "{}",
    ],
    [
      "adminpack's old functions",
      "SELECT pg_read_file_old('PG_VERSION', 0, 10)",
      "must be superuser to read files with adminpack 1.0",
    ],
    [
      "adminpack's log rotation",
      "SELECT pg_rotate_logfile_old()",
      "must be superuser to rotate log files with adminpack 1.0",
    ],
  ])("by %s", async (_, sql, message) => {
    expect(await answers(gatherer, sql)).toBe(message);
  });

  it.each([
    [
      "a text search dictionary",
      "CREATE TEXT SEARCH DICTIONARY gt.d (TEMPLATE = ispell, DictFile = '../../../../etc/passwd', AffFile = 'x')",
      "CREATE TEXT SEARCH DICTIONARY is not for gtown: one that leads to itself ends the server",
    ],
    [
      "a function in C",
      "CREATE FUNCTION gt.f() RETURNS int LANGUAGE c AS 'libc', 'system'",
      "permission denied for language c",
    ],
    [
      "a built-in function under a type of its own",
      "CREATE FUNCTION gt.f() RETURNS int LANGUAGE internal AS 'pg_read_file'",
      "permission denied for language internal",
    ],
    ["a language", "CREATE LANGUAGE plperl", 'permission denied to create extension "plperl"'],
    ["a foreign-data wrapper", "CREATE FOREIGN DATA WRAPPER w", 'permission denied to create foreign-data wrapper "w"'],
    ["a base type", "CREATE TYPE gt.t", "must be superuser to create a base type"],
    [
      "an operator class",
      "CREATE OPERATOR CLASS gt.c FOR TYPE int USING btree AS OPERATOR 1 <",
      "must be superuser to create an operator class",
    ],
    [
      "a text search template",
      "CREATE TEXT SEARCH TEMPLATE gt.t (LEXIZE = dsimple_lexize)",
      "must be superuser to create text search templates",
    ],
    [
      "an access method",
      "CREATE ACCESS METHOD a TYPE INDEX HANDLER bthandler",
      'permission denied to create access method "a"',
    ],
    [
      "an event trigger",
      "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION gt.f()",
      'permission denied to create event trigger "e"',
    ],
    ["a table in pg_global", "CREATE TABLE gt_x () TABLESPACE pg_global", "permission denied for tablespace pg_global"],
  ])("nor does an owner by %s", async (_, sql, message) => {
    expect(await inTransaction(gatherer.owner, sql)).toBe(message);
  });

  it.each([
    "pg_read_file('PG_VERSION')",
    "pg_read_binary_file('PG_VERSION')",
    "pg_ls_dir('.')",
    "pg_stat_file('PG_VERSION')",
    "pg_ls_logdir()",
    "pg_ls_waldir()",
    "pg_ls_tmpdir()",
    "pg_ls_archive_statusdir()",
    "pg_ls_logicalsnapdir()",
    "pg_ls_logicalmapdir()",
    "pg_ls_replslotdir('x')",
    "lo_import('/etc/passwd')",
    "lo_export(1, '/dev/null')",
    "pg_current_logfile()",
    "pg_hba_file_rules()",
    "pg_show_all_file_settings()",
    "pg_config()",
    "pg_reload_conf()",
    "pg_rotate_logfile()",
    "pg_switch_wal()",
    "pg_create_restore_point('x')",
    "pg_backup_start('x')",
    "pg_backup_stop()",
    "pg_promote()",
    "pg_wal_replay_pause()",
    "pg_wal_replay_resume()",
    "pg_log_backend_memory_contexts(1)",
    "pg_get_backend_memory_contexts()",
    "pg_get_shmem_allocations()",
    "pg_stat_reset()",
    "pg_stat_reset_shared('wal')",
    "pg_stat_reset_slru(NULL)",
    "pg_stat_reset_single_table_counters(1)",
    "pg_stat_reset_single_function_counters(1)",
    "pg_stat_reset_replication_slot(NULL)",
    "pg_stat_reset_subscription_stats(1)",
    "pg_replication_origin_create('x')",
    "pg_replication_origin_session_setup('x')",
    "pg_logical_emit_message(false, 'x', 'x')",
    "pg_export_snapshot()",
    "lo_create(0)",
  ])("and no tier calls %s", async (call) => {
    const message = `permission denied for function ${call.split("(")[0]}`;
    expect(await answers(gatherer, `SELECT ${call}`)).toBe(message);
  });

  it("nor pg_stat_statements_reset, whose schema is closed", async () => {
    expect(await answers(gatherer, "SELECT platform.pg_stat_statements_reset()")).toBe(
      "permission denied for schema platform",
    );
  });
});
