import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditViolations } from "../../../ops/effect-test/effect-test";
import { describeViolation } from "../../../ops/effect-test/attempt";
import { services } from "../../../services/registry";
import { answer, pastTheGuard, takeOver, type Attackers } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Code of the gatherer that PostgreSQL runs without asking whoever runs it for the right to execute it.
const plan = testPlan(
  services
    .filter(({ code }) => ["gt", "ag"].includes(code))
    .map((service) => (service.code === "ag" ? { ...service, reads: ["gatherer"] } : service)),
);
let server: TestServer;
let gatherer: Attackers;
let reader: Client;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("agown", "CREATE TABLE ag_results (source text); INSERT INTO ag_results VALUES ('a secret')");
  gatherer = await takeOver(server, "gt");
  await gatherer.owner.query(
    `CREATE TABLE gt_t (id int); INSERT INTO gt_t SELECT generate_series(1, 400);
     CREATE FUNCTION gt_f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
     CREATE FUNCTION gt_eq(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 = $2; END';
     CREATE OPERATOR gt.### (FUNCTION = gt_eq, LEFTARG = int, RIGHTARG = int);
     CREATE FUNCTION gt_ok(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
     CREATE DOMAIN gt.checked AS int CHECK (gt_ok(VALUE));
     CREATE FUNCTION gt_diff(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 - $2; END';
     CREATE TYPE gt.letter AS ENUM ('a');
     CREATE FUNCTION gt_json(gt.letter) RETURNS json LANGUAGE plpgsql AS
       $$ DECLARE r text; BEGIN
            SELECT source INTO r FROM ag.ag_results; UPDATE ag.ag_results SET source = 'overwritten'; RETURN to_json(r);
          END $$`,
  );
  reader = await server.session("agapp");
});
afterAll(async () => {
  await gatherer.end();
  await reader.end();
  await server.stop();
});

describe("in a cast, which to_json looks for, or in the planner", () => {
  it.each([
    ["CREATE CAST", "CREATE CAST (gt.letter AS json) WITH FUNCTION gt_json(gt.letter)"],
    ["CREATE TRANSFORM", "CREATE TRANSFORM FOR gt.letter LANGUAGE plpgsql (FROM SQL WITH FUNCTION gt_f(int))"],
    ["CREATE CONVERSION", "CREATE CONVERSION gt.c FOR 'UTF8' TO 'LATIN1' FROM gt_f"],
  ])("it would run as whoever reads: %s is not for services", async (command, sql) => {
    for (const [tier, role] of [
      ["owner", "gtown"],
      ["app", "gtapp"],
    ] as const) {
      const session = gatherer[tier];
      expect(await answer(session, sql)).toBe(`${command} is not for ${role}: its code would run as whoever reads`);
    }
  });

  it("nor is a range type with a difference function of its own", async () => {
    expect(await answer(gatherer.owner, "CREATE TYPE gt.r AS RANGE (subtype = int4, subtype_diff = gt.gt_diff)")).toBe(
      "range type gt.r uses gt.gt_diff(integer,integer), which the planner would run as whoever reads",
    );
    expect(
      await answer(gatherer.owner, "CREATE TYPE gt.r AS RANGE (subtype = int4, subtype_diff = int4range_subdiff)"),
    ).toBe("done");
  });

  it.each([
    [
      "CREATE OPERATOR gt.<<<",
      "CREATE OPERATOR gt.<<< (FUNCTION = gt_eq, LEFTARG = int, RIGHTARG = int, RESTRICT = eqsel)",
    ],
    [
      "one with a negator",
      "CREATE OPERATOR gt.<<< (FUNCTION = int4ne, LEFTARG = int, RIGHTARG = int, RESTRICT = neqsel, NEGATOR = OPERATOR(gt.###))",
    ],
    ["one of joins", "CREATE OPERATOR gt.<<< (FUNCTION = gt_eq, LEFTARG = int, RIGHTARG = int, JOIN = eqjoinsel)"],
    ["ALTER OPERATOR", "ALTER OPERATOR gt.### (int, int) SET (RESTRICT = matchingsel)"],
  ])("nor is an operator with an estimator, which calls its function: %s", async (_, sql) => {
    expect(await answer(gatherer.owner, sql)).toMatch(
      /^operator gt\.(<<<|###)\(integer,integer\) uses the estimator \w+, with which the planner would run it as whoever reads$/,
    );
  });

  it("made before the guard an estimator hands over the reader's rows, also where the reader asks for none", async () => {
    await gatherer.owner.query(
      `CREATE FUNCTION gt_spy(int, int) RETURNS boolean LANGUAGE plpgsql AS
         $$ BEGIN
              IF current_user = 'agapp' THEN UPDATE ag.ag_results SET source = 'overwritten by the planner'; END IF;
              RETURN true;
            END $$;
       CREATE OPERATOR gt.=== (FUNCTION = gt_spy, LEFTARG = int, RIGHTARG = int);
       CREATE TABLE gt_common AS SELECT 1 + n % 3 AS id FROM generate_series(1, 300) n; ANALYZE gt_common;
       CREATE VIEW gt_view AS SELECT t.id FROM gt_t t LEFT JOIN (SELECT * FROM gt_common WHERE id OPERATOR(gt.===) 5) c ON false`,
    );
    const sources = "SELECT source FROM ag_results";
    expect(await answer(reader, `SELECT count(*) FROM gt.gt_view; ${sources}`)).toBe("a secret");
    await pastTheGuard(server, "gtown", "ALTER OPERATOR gt.=== (int, int) SET (RESTRICT = eqsel)");
    expect(await answer(reader, `SELECT count(*) FROM gt.gt_view; ${sources}`)).toBe("overwritten by the planner");
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "refused object: operator gt.===(integer,integer): expected none: the guard refuses it, got uses the estimator eqsel",
    ]);
    await gatherer.owner.query("DROP VIEW gt_view; DROP OPERATOR gt.=== (int, int)");
    await reader.query("UPDATE ag_results SET source = 'a secret'");
  });

  it("made before the guard a cast hands over the reader's rows, and the effect test names it", async () => {
    await pastTheGuard(server, "gtown", "CREATE CAST (gt.letter AS json) WITH FUNCTION gt.gt_json(gt.letter)");
    await gatherer.owner.query("CREATE TABLE gt_letters (l gt.letter); INSERT INTO gt_letters VALUES ('a')");
    expect(await answer(reader, "SELECT to_json(l) FROM gt.gt_letters")).toBe("a secret");
    expect(await answer(reader, "SELECT source FROM ag_results")).toBe("overwritten");
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "refused object: cast gt.letter AS json: expected none: the guard refuses it, got uses gt.gt_json(gt.letter)",
    ]);
    await gatherer.owner.query("DROP CAST (gt.letter AS json)");
  });
});

describe("in the key of a partitioned table, whose constants are computed for whoever describes a partition", () => {
  const spied = "SELECT count(*) FROM gt_spied WHERE who = 'postgres'";
  beforeAll(async () => {
    await gatherer.owner.query(
      `CREATE TABLE gt_spied (who name);
       CREATE FUNCTION gt_note() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO gt.gt_spied VALUES (current_user); END';
       CREATE FUNCTION gt_key(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM gt.gt_note(); RETURN $1; END';
       CREATE FUNCTION gt_keys(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN gt.gt_key($1 + $2); END';
       CREATE OPERATOR gt.## (FUNCTION = gt_keys, LEFTARG = int, RIGHTARG = int)`,
    );
  });

  it.each([
    ["gt.gt_key(integer)", "CREATE TABLE gt_p (a int) PARTITION BY RANGE ((a + gt_key(1)))"],
    ["gt.##(integer,integer)", "CREATE TABLE gt_p (a int) PARTITION BY RANGE ((a + (1 OPERATOR(gt.##) 1)))"],
    ["gt.checked", "CREATE TABLE gt_p (a int) PARTITION BY LIST ((a + 1::gt.checked))"],
  ])("it would run as superuser: %s is refused", async (code, sql) => {
    expect(await answer(gatherer.owner, sql)).toBe(
      `partitioned table gt.gt_p uses ${code}, which would run as whoever describes its partitions, the superuser too`,
    );
  });

  it("made before the guard it does, and the effect test names it", async () => {
    await pastTheGuard(server, "gtown", "CREATE TABLE gt.gt_p (a int) PARTITION BY RANGE ((a + gt.gt_key(1)))");
    await gatherer.owner.query("CREATE TABLE gt_p1 PARTITION OF gt_p FOR VALUES FROM (0) TO (1000)");
    expect(await answer(gatherer.owner, spied)).toBe("0");
    await server.superuser.query("SELECT pg_get_partition_constraintdef('gt.gt_p1'::regclass)");
    expect(await answer(gatherer.owner, spied)).not.toBe("0");
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "refused object: partitioned table gt.gt_p: expected none: the guard refuses it, got uses gt.gt_key(integer)",
    ]);
    await gatherer.owner.query("DROP TABLE gt_p, gt_spied");
  });

  it("plain keys and built-in functions are free, of a typed table too", async () => {
    expect(
      await answer(
        gatherer.owner,
        `CREATE TYPE gt.kind AS (a int, b text);
         CREATE TABLE gt_p OF gt.kind PARTITION BY RANGE (abs(a), b); CREATE TABLE gt_q (c gt.checked) PARTITION BY LIST (c);
         DROP TABLE gt_p, gt_q; DROP TYPE gt.kind`,
      ),
    ).toBe("done");
  });
});

describe("in autovacuum, with no session to end", () => {
  it.each([
    ["an index's expression", "CREATE INDEX gt_i ON gt_t (gt_f(id))", "index gt.gt_i", "gt.gt_f(integer)"],
    ["its predicate", "CREATE INDEX gt_i ON gt_t (id) WHERE gt_ok(id)", "index gt.gt_i", "gt.gt_ok(integer)"],
    ["an operator", "CREATE INDEX gt_i ON gt_t ((id OPERATOR(gt.###) 1))", "index gt.gt_i", "gt.###(integer,integer)"],
    ["a domain's check", "CREATE INDEX gt_i ON gt_t ((id::gt.checked))", "index gt.gt_i", "gt.checked"],
    [
      "an exclusion",
      "ALTER TABLE gt_t ADD CONSTRAINT gt_i EXCLUDE (gt_f(id) WITH =)",
      "index gt.gt_i",
      "gt.gt_f(integer)",
    ],
    [
      "a new table's",
      "CREATE TABLE gt_n (id int, EXCLUDE (gt_f(id) WITH =))",
      "index gt.gt_n_gt_f_excl",
      "gt.gt_f(integer)",
    ],
    [
      "a domain's check in an array",
      "CREATE INDEX gt_i ON gt_t ((ARRAY[id]::gt.checked[]))",
      "index gt.gt_i",
      "gt.checked",
    ],
    ["statistics", "CREATE STATISTICS gt.gt_s ON (gt_f(id)) FROM gt_t", "statistics gt.gt_s", "an expression"],
    [
      "a type's name in statistics",
      "CREATE STATISTICS gt.gt_s ON (pg_input_is_valid(id::text, 'gt.checked')), id FROM gt_t",
      "statistics gt.gt_s",
      "an expression",
    ],
  ])("it would run as its owner for ever: %s is refused", async (_, sql, what, code) => {
    expect(await answer(gatherer.owner, sql)).toBe(
      `${what} uses ${code}, which autovacuum would run as the owner, with no session to end`,
    );
  });

  it("nor through an extension's function that makes a row anew, whose checks no index depends on", async () => {
    await server.superuser.query("CREATE EXTENSION hstore SCHEMA extensions");
    await gatherer.owner.query(
      "CREATE TYPE gt.pair AS (a gt.checked, b int); CREATE TABLE gt_pairs (p gt.pair, d gt.checked, n int, h extensions.hstore)",
    );
    for (const [made, code] of [
      ["extensions.populate_record(p, h)", "extensions.populate_record(anyelement,extensions.hstore)"],
      ["extensions.hstore(extensions.populate_record(ROW(d), h))", "extensions.hstore(record)"],
      ["(extensions.populate_record(gt_pairs.*, h)).n", "extensions.populate_record(anyelement,extensions.hstore)"],
      ["p OPERATOR(extensions.#=) h", "extensions.#=(anyelement,extensions.hstore)"],
    ] as const) {
      expect(await answer(gatherer.owner, `CREATE INDEX gt_i ON gt_pairs ((${made}))`)).toBe(
        `index gt.gt_i uses ${code}, which autovacuum would run as the owner, with no session to end`,
      );
    }
    expect(
      await answer(
        gatherer.owner,
        `CREATE TABLE gt_p OF gt.pair PARTITION BY RANGE ((b + (extensions.populate_record(NULL::gt.pair, 'b=>1')).b))`,
      ),
    ).toMatch(/^partitioned table gt.gt_p uses extensions.populate_record/);
    expect(
      await answer(
        gatherer.owner,
        "CREATE INDEX ON gt_pairs (((p).b)); CREATE INDEX ON gt_pairs (abs(d)); CREATE INDEX ON gt_pairs ((h OPERATOR(extensions.->) 'a'))",
      ),
    ).toBe("done");
    await gatherer.owner.query("DROP TABLE gt_pairs; DROP TYPE gt.pair");
    await server.superuser.query("DROP EXTENSION hstore");
  });

  it("not from a generated column, which is written by whoever writes, and may be indexed", async () => {
    const sql = "CREATE TABLE gt_g (id int, f int GENERATED ALWAYS AS (gt_f(id)) STORED); CREATE INDEX ON gt_g (f)";
    expect(await answer(gatherer.owner, sql)).toBe("done");
    expect(await answer(gatherer.owner, "CREATE INDEX ON gt_t (abs(id)) WHERE id > 7")).toBe("done");
  });

  it("made before the guard it is named by the effect test", async () => {
    await pastTheGuard(server, "gtown", "CREATE INDEX gt_i ON gt.gt_t (gt.gt_f(id))");
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "refused object: index gt.gt_i: expected none: the guard refuses it, got uses gt.gt_f(integer)",
    ]);
    await gatherer.owner.query("DROP INDEX gt_i");
  });
});

describe("what is read anew with another type", () => {
  it.each([
    [
      "a table's child",
      `CREATE TABLE gt_parent (id int); CREATE TABLE gt_child () INHERITS (gt_parent); CREATE INDEX gt_anew ON gt_child (abs(id))`,
      "ALTER TABLE gt_parent ALTER COLUMN id TYPE gt.letter USING 'a'::gt.letter",
    ],
    [
      "a table of a type",
      `CREATE TYPE gt.row AS (id int); CREATE TABLE gt_typed OF gt.row; CREATE INDEX gt_anew ON gt_typed (abs(id))`,
      "ALTER TYPE gt.row ALTER ATTRIBUTE id TYPE gt.plain CASCADE",
    ],
  ])("must not come to call an own function: %s", async (_, before, sql) => {
    await gatherer.owner.query("BEGIN; CREATE DOMAIN gt.plain AS int");
    for (const type of ["gt.letter", "gt.plain"])
      await gatherer.owner.query(
        `CREATE FUNCTION gt.abs(${type}) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'`,
      );
    await gatherer.owner.query(before);
    expect(await answer(gatherer.owner, sql)).toMatch(
      /^index gt.gt_anew uses gt.abs\(gt.\w+\), which autovacuum would run/,
    );
    await gatherer.owner.query("ROLLBACK");
  });
});

describe("an index made CONCURRENTLY", () => {
  it.each([
    ["an expression", "(gt_f(id))"],
    ["a condition", "(id) WHERE id > 7"],
    ["a literal", "(id) WHERE state = 'a'"],
    ["a quoted name that closes a parenthesis", '(")", gt_f(id))'],
    ["a comment", "(id /* ( */) WHERE gt_ok(id)"],
    ["a function in the shape of a column", "(id) WHERE gt_t.gt_ok"],
  ])("is refused before it begins, since it stays where it fails: %s", async (_, columns) => {
    expect(await answer(gatherer.owner, `CREATE INDEX CONCURRENTLY gt_c ON gt_t ${columns}`)).toBe(
      "CREATE INDEX is not for gtown: CONCURRENTLY is for columns, and for WHERE with columns that are true or IS NULL",
    );
    expect(await answer(server.superuser, "SELECT count(*) FROM pg_class WHERE relname = 'gt_c'")).toBe("0");
  });

  it.each([
    "CREATE INDEX CONCURRENTLY gt_c ON gt_c_t (id)",
    "create unique index concurrently if not exists gt_c on only gt.gt_c_t using btree (id desc nulls last, b text_pattern_ops) include (c) nulls not distinct with (fillfactor = 70);",
    'CREATE INDEX CONCURRENTLY gt_c ON gt_c_t (id) WHERE "c" IS NOT NULL AND d AND b IS NULL',
  ])("may be of columns: %s", async (sql) => {
    await gatherer.owner.query("CREATE TABLE IF NOT EXISTS gt_c_t (id int, b text, c int, d boolean)");
    expect(await answer(gatherer.owner, sql)).toBe("done");
    expect(await answer(gatherer.owner, "DROP INDEX CONCURRENTLY gt_c")).toBe("done");
  });
});

describe("the guard", () => {
  it.each(["REPEATABLE READ", "SERIALIZABLE"])("does not look with an old snapshot: no DDL in %s", async (level) => {
    const second = await server.session("gtown");
    await gatherer.owner.query(`BEGIN ISOLATION LEVEL ${level}; SELECT 1`);
    await second.query("CREATE FUNCTION gt_new(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END'");
    expect(await answer(gatherer.owner, "CREATE INDEX gt_i ON gt_t (gt_new(id))")).toBe(
      `CREATE INDEX is not for a transaction that is ${level}`,
    );
    await gatherer.owner.query("ROLLBACK");
    await second.query("DROP FUNCTION gt_new");
    await second.end();
  });

  it.each([
    ["an index", "CREATE INDEX gt_hidden ON gt.gt_t (gt.gt_f(id))", /^index gt.gt_hidden uses/],
    [
      "a range type",
      "CREATE TYPE gt.gt_hidden AS RANGE (subtype = int4, subtype_diff = gt.gt_diff)",
      /^range type gt.gt_hidden uses/,
    ],
    [
      "an operator",
      "CREATE OPERATOR gt.<<< (FUNCTION = gt.gt_eq, LEFTARG = int, RIGHTARG = int, RESTRICT = eqsel)",
      /^operator gt.<<<\(integer,integer\) uses/,
    ],
  ])("looks at what a refresh's own query makes: %s", async (_, sql, message) => {
    await gatherer.owner.query(
      `CREATE OR REPLACE FUNCTION gt_hide() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN EXECUTE $s$${sql}$s$; RETURN 1; END $f$;
       CREATE MATERIALIZED VIEW gt_m AS SELECT gt_hide() AS x WITH NO DATA`,
    );
    expect(await answer(gatherer.owner, "REFRESH MATERIALIZED VIEW gt_m")).toMatch(message);
    await gatherer.owner.query("DROP MATERIALIZED VIEW gt_m");
  });
});

describe("what all share", () => {
  it("nor may a collation of its own decide what a reader's values are equal to", async () => {
    const create = "CREATE COLLATION gt_all (provider = icu, locale = 'und', deterministic = false)";
    expect(await answer(gatherer.owner, create)).toBe(
      "CREATE COLLATION is not for gtown: it would decide what a reader's own values are equal to",
    );
    await pastTheGuard(server, "gtown", create.replace("gt_all", "gt.gt_all"));
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "refused object: collation gt.gt_all: expected none: the guard refuses it, got uses rules of its own",
    ]);
    await server.superuser.query("DROP COLLATION gt.gt_all");
  });

  it.each([
    ["CREATE", "CREATE TEXT SEARCH DICTIONARY gt_d (TEMPLATE = simple)"],
    ["ALTER", "ALTER TEXT SEARCH DICTIONARY pg_catalog.simple RENAME TO gt_d"],
  ])("is not ended by a dictionary that leads to itself: %s is refused", async (command, sql) => {
    expect(await answer(gatherer.owner, sql)).toBe(
      `${command} TEXT SEARCH DICTIONARY is not for gtown: one that leads to itself ends the server`,
    );
  });

  it.each([
    [
      "CREATE TABLE gt_slow (id int) WITH (autovacuum_vacuum_cost_delay = 100)",
      "gt.gt_slow",
      "autovacuum_vacuum_cost_delay=100",
    ],
    ["ALTER TABLE gt_t SET (autovacuum_vacuum_cost_limit = 1)", "gt.gt_t", "autovacuum_vacuum_cost_limit=1"],
    [
      "CREATE TABLE gt_slow (t text) WITH (toast.autovacuum_vacuum_cost_limit = 1)",
      "gt.gt_slow",
      "toast.autovacuum_vacuum_cost_limit=1",
    ],
    [
      `CREATE TABLE gt_toasty (t text);
       CREATE FUNCTION gt_ddl() RETURNS int LANGUAGE plpgsql AS
         'BEGIN ALTER TABLE gt.gt_toasty SET (toast.autovacuum_vacuum_cost_limit = 1); RETURN 1; END';
       CREATE MATERIALIZED VIEW gt_mv AS SELECT gt_ddl() AS a WITH NO DATA; REFRESH MATERIALIZED VIEW gt_mv`,
      "gt.gt_toasty",
      "toast.autovacuum_vacuum_cost_limit=1",
    ],
  ])("autovacuum's workers are not made slow: %s", async (sql, name, option) => {
    expect(await answer(gatherer.owner, sql)).toBe(
      `table ${name} uses ${option}, with which a worker of autovacuum, of which all have three, would be busy with it for days`,
    );
    expect(await answer(gatherer.owner, "ALTER TABLE gt_t SET (autovacuum_vacuum_scale_factor = 0.01)")).toBe("done");
  });
});
