import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { auditViolations } from "../../ops/effect-test/effect-test";
import type { ServerStatus } from "../../ops/status/collect";
import { services } from "../../services/registry";
import { pastTheGuard } from "../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../support/server";

const plan = testPlan(services.filter(({ code }) => ["gt", "ag"].includes(code)));
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.superuser.query("DROP OWNED BY gtown");
  await server.apply(plan);
});

/** The error of SQL that must fail, as a person sees it. */
async function refusal(role: string, sql: string): Promise<string> {
  try {
    await server.as(role, sql);
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string };
    return hint === undefined ? message : `${message} / ${hint}`;
  }
  return "nothing: it was done";
}

describe("the prefix", () => {
  // How a relation gets its name: each row must end in a refusal that says the right one.
  it.each([
    ["CREATE TABLE", "CREATE TABLE raw ()", "table", "raw"],
    ["CREATE TABLE AS", "CREATE TABLE raw AS SELECT 1 AS one", "table", "raw"],
    ["SELECT INTO", "SELECT 1 AS one INTO raw", "table", "raw"],
    ["LIKE", "CREATE TABLE gt_a (); CREATE TABLE raw (LIKE gt_a)", "table", "raw"],
    [
      "a partition",
      "CREATE TABLE gt_a (i int) PARTITION BY LIST (i); CREATE TABLE a1 PARTITION OF gt_a DEFAULT",
      "table",
      "a1",
    ],
    ["a view", "CREATE VIEW raw AS SELECT 1 AS one", "view", "raw"],
    ["a recursive view", "CREATE RECURSIVE VIEW raw (n) AS SELECT 1", "view", "raw"],
    ["a materialized view", "CREATE MATERIALIZED VIEW raw AS SELECT 1 AS one", "materialized view", "raw"],
    ["a sequence", "CREATE SEQUENCE raw", "sequence", "raw"],
    [
      "a sequence let go",
      "CREATE TABLE gt_a (id serial); ALTER SEQUENCE gt_a_id_seq RENAME TO raw; ALTER SEQUENCE raw OWNED BY NONE",
      "sequence",
      "raw",
    ],
    ["RENAME", "CREATE TABLE gt_a (); ALTER TABLE gt_a RENAME TO raw", "table", "raw"],
    ["ALTER INDEX on a table", "CREATE TABLE gt_a (); ALTER INDEX gt_a RENAME TO raw", "table", "raw"],
    ["ALTER INDEX on a view", "CREATE VIEW gt_a AS SELECT 1 AS one; ALTER INDEX gt_a RENAME TO raw", "view", "raw"],
    ["DO", "DO 'BEGIN CREATE TABLE raw (); END'", "table", "raw"],
    ["a name in quotes", 'CREATE TABLE "GT_Raw" ()', "table", '"GT_Raw"'],
    ["another service's prefix", "CREATE TABLE ag_raw ()", "table", "ag_raw"],
    ["the prefix without its underscore", "CREATE TABLE gtraw ()", "table", "gtraw"],
  ])("is asked of what %s names", async (_, sql, kind, name) => {
    const right = name.startsWith('"') ? '"gt_GT_Raw"' : `gt_${name}`;
    expect(await refusal("gtown", sql)).toBe(
      `${kind} gt.${name} lacks the prefix of its schema / Call it gt.${right}.`,
    );
  });

  it("is asked of a foreign table and of what IMPORT FOREIGN SCHEMA brings", async () => {
    await server.as("agown", "CREATE TABLE IF NOT EXISTS ag_a (id int)");
    await server.superuser.query(
      `CREATE EXTENSION postgres_fdw SCHEMA extensions;
       CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw
         OPTIONS (host '127.0.0.1', port '${server.port}', dbname '${server.database}');
       GRANT USAGE ON FOREIGN SERVER itself TO gtown;
       CREATE USER MAPPING FOR gtown SERVER itself OPTIONS (user 'agown', password '${server.passwords.get("agown") ?? ""}')`,
    );
    try {
      expect(await refusal("gtown", "CREATE FOREIGN TABLE raw (id int) SERVER itself")).toBe(
        "foreign table gt.raw lacks the prefix of its schema / Call it gt.gt_raw.",
      );
      expect(await refusal("gtown", "IMPORT FOREIGN SCHEMA ag LIMIT TO (ag_a) FROM SERVER itself INTO gt")).toBe(
        "foreign table gt.ag_a lacks the prefix of its schema / Call it gt.gt_ag_a.",
      );
    } finally {
      await server.superuser.query("DROP EXTENSION postgres_fdw CASCADE");
    }
  });

  it("is asked of a table that moves into the schema", async () => {
    await server.superuser.query("CREATE TABLE public.raw (); GRANT CREATE ON SCHEMA public TO gtown");
    await expect(server.superuser.query("ALTER TABLE public.raw SET SCHEMA gt")).rejects.toThrow("lacks the prefix");
    await server.superuser.query("DROP TABLE public.raw; REVOKE CREATE ON SCHEMA public FROM gtown");
  });

  it("is not asked of indexes, constraints, types, routines, and sequences of identity and serial columns", async () => {
    await server.as(
      "gtown",
      `CREATE TABLE gt_a (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, CONSTRAINT positive CHECK (n > 0));
       ALTER SEQUENCE gt_a_id_seq RENAME TO anything; CREATE INDEX any_index ON gt_a (n); ALTER INDEX any_index RENAME TO other;
       CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN word AS text;
       CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1; CREATE PROCEDURE two() LANGUAGE sql AS ''`,
    );
    const [row] = await server.as(
      "gtown",
      "SELECT count(*)::int FROM pg_class WHERE relname IN ('anything', 'other', 'pair')",
    );
    expect(row).toEqual({ count: 3 });
  });

  it("is asked of what a refresh's own query creates, which is not reported to event triggers", async () => {
    await server.as(
      "gtown",
      `CREATE FUNCTION mk() RETURNS int LANGUAGE plpgsql AS 'BEGIN CREATE TABLE gt.raw (); RETURN 1; END';
       CREATE MATERIALIZED VIEW gt_mv AS SELECT gt.mk() AS x WITH NO DATA`,
    );
    expect(await refusal("gtown", "REFRESH MATERIALIZED VIEW gt_mv")).toContain("table gt.raw lacks the prefix");
  });

  it("is asked of a sequence that a snapshot still believes to be a column's", async () => {
    await server.as("gtown", "CREATE TABLE gt_a (id int); CREATE SEQUENCE gt_s OWNED BY gt_a.id");
    const old = new Client({ ...server, user: "gtown", password: server.passwords.get("gtown") });
    await old.connect();
    await old.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    await server.as("gtown", "ALTER SEQUENCE gt_s OWNED BY NONE");
    await expect(old.query("ALTER SEQUENCE gt_s RENAME TO escaped")).rejects.toThrow(
      "ALTER SEQUENCE is not for a transaction that is REPEATABLE READ",
    );
    await old.end();
  });

  it("is found missing where no event trigger fires: EXPLAIN ANALYZE", async () => {
    await server.as("gtown", "EXPLAIN ANALYZE CREATE TABLE raw AS SELECT 1 AS one");
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      "gtown: table gt.raw: expected the prefix gt_, got none",
    ]);
    expect(await refusal("gtown", "ALTER TABLE raw ADD COLUMN more int")).toContain("lacks the prefix");
    await server.as("gtown", "ALTER TABLE raw RENAME TO gt_raw");
    expect(await auditViolations(plan, server.superuser)).toEqual([]);
  });

  it("cannot be talked out of by an owner's own functions and operators of the same names", async () => {
    await server.as("gtown", "CREATE FUNCTION starts_with(text, text) RETURNS boolean LANGUAGE sql RETURN true");
    expect(await refusal("gtown", "CREATE TABLE raw ()")).toContain("lacks the prefix");
  });

  it("holds for a superuser too, and is free in schemas that are no service's", async () => {
    await expect(server.superuser.query("CREATE TABLE gt.raw ()")).rejects.toThrow("lacks the prefix");
    await server.superuser.query("CREATE TABLE public.anything (); DROP TABLE public.anything");
  });

  it("lets a restore pass, which runs with session_replication_role = replica", async () => {
    await server.superuser.query(
      "BEGIN; SET LOCAL session_replication_role = replica; CREATE TABLE gt.raw (); ROLLBACK",
    );
  });
});

describe("grants by a tier role", () => {
  const refused = (tag: string, role: string) =>
    `${tag} is not for ${role}: grants come from services/registry.ts / Declare it there; the platform applies it.`;

  it.each([
    ["GRANT", "GRANT SELECT ON gt_a TO aguser"],
    ["GRANT", "GRANT SELECT (id) ON gt_a TO PUBLIC"],
    ["GRANT", "GRANT EXECUTE ON FUNCTION gt_f() TO PUBLIC"],
    ["REVOKE", "REVOKE SELECT ON gt_a FROM gtuser"],
    ["ALTER DEFAULT PRIVILEGES", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"],
    ["DROP OWNED", "DROP OWNED BY gtown"],
    ["GRANT", "DO 'BEGIN GRANT SELECT ON gt_a TO PUBLIC; END'"],
  ])("are refused: %s by %s", async (tag, sql) => {
    await server.as("gtown", "CREATE TABLE gt_a (id int); CREATE FUNCTION gt_f() RETURNS int LANGUAGE sql RETURN 1");
    expect(await refusal("gtown", sql)).toBe(refused(tag, "gtown"));
  });

  it("are refused inside a SECURITY DEFINER function, whoever calls it", async () => {
    await server.as(
      "gtown",
      `CREATE TABLE gt_a (id int);
       CREATE FUNCTION gt_f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN GRANT SELECT ON gt.gt_a TO PUBLIC; END'`,
    );
    expect(await refusal("gtapp", "SELECT gt_f()")).toBe(refused("GRANT", "gtown"));
  });

  it("are refused where a superuser runs an owner's function, as autovacuum does", async () => {
    await server.as(
      "gtown",
      `CREATE TABLE gt_a (id int); INSERT INTO gt_a VALUES (1);
       CREATE FUNCTION gt_do() RETURNS void LANGUAGE plpgsql AS 'BEGIN GRANT SELECT ON gt.gt_a TO PUBLIC; END';
       CREATE FUNCTION gt_leak(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
         BEGIN IF session_user = 'postgres' THEN PERFORM gt.gt_do(); END IF; RETURN $1; END $$`,
    );
    await pastTheGuard(server, "gtown", "CREATE INDEX ON gt.gt_a (gt.gt_leak(id))");
    await expect(server.superuser.query("ANALYZE gt.gt_a")).rejects.toThrow(refused("GRANT", "gtown").split(" / ")[0]);
    await expect(server.superuser.query("REINDEX TABLE gt.gt_a")).rejects.toThrow(
      "grants come from services/registry.ts",
    );
  });

  it("give nothing away by REASSIGN OWNED, for which PostgreSQL 16 fires no trigger: there is nobody to give to", async () => {
    await server.as("gtown", "CREATE TABLE gt_a (id int)");
    for (const role of ["gtapp", "gtuser", "agown", "platform", "postgres"]) {
      expect(await refusal("gtown", `REASSIGN OWNED BY gtown TO ${role}`)).toBe(
        "permission denied to reassign objects",
      );
    }
  });
});

describe("a constant that names an object by its number", () => {
  const numberOf = async (name: string, type: string) =>
    (await server.superuser.query<{ oid: string }>("SELECT $1::text::" + type + "::oid::text AS oid", [name])).rows[0]
      ?.oid ?? "";

  it.each([
    ["in a view", "table ag.ag_held", (table: string) => `CREATE VIEW gt_v AS SELECT '${table}'::regclass AS t`],
    ["in a default", "table ag.ag_held", (table: string) => `CREATE TABLE gt_t (t regclass DEFAULT '${table}')`],
    [
      "in a default given later",
      "table ag.ag_held",
      (table: string) => `CREATE TABLE gt_t (t regclass); ALTER TABLE gt_t ALTER t SET DEFAULT '${table}'`,
    ],
    [
      "in a check",
      "table ag.ag_held",
      (table: string) => `CREATE TABLE gt_t (t regclass CHECK (t <> '${table}'::regclass))`,
    ],
    [
      "in a domain",
      "table ag.ag_held",
      (table: string) => `CREATE DOMAIN gt.d AS regclass DEFAULT '${table}'::regclass`,
    ],
    [
      "in a domain's check",
      "table ag.ag_held",
      (table: string) => `CREATE DOMAIN gt.d AS regclass CHECK (VALUE <> '${table}'::regclass)`,
    ],
    [
      "in a function",
      "table ag.ag_held",
      (table: string) =>
        `CREATE FUNCTION gt.f() RETURNS regclass LANGUAGE sql BEGIN ATOMIC SELECT '${table}'::regclass; END`,
    ],
    [
      "in a policy",
      "table ag.ag_held",
      (table: string) => `CREATE TABLE gt_t (t regclass); CREATE POLICY p ON gt_t USING (t <> '${table}'::regclass)`,
    ],
    [
      "in a trigger",
      "table ag.ag_held",
      (table: string) =>
        `CREATE TABLE gt_t (t regclass); CREATE FUNCTION gt.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER g BEFORE INSERT ON gt_t FOR EACH ROW WHEN (NEW.t <> '${table}'::regclass) EXECUTE FUNCTION gt.f()`,
    ],
    [
      "in an index",
      "table ag.ag_held",
      (table: string) => `CREATE TABLE gt_t (t oid); CREATE INDEX ON gt_t (t) WHERE t <> '${table}'::regclass`,
    ],
  ])("of another service is refused %s", async (_, name, sql) => {
    await server.as("agown", "CREATE TABLE IF NOT EXISTS ag_held ()");
    expect(await refusal("gtown", sql(await numberOf("ag.ag_held", "regclass")))).toMatch(
      new RegExp(
        ` uses ${name}, which is of a schema it has no right to, and could not be dropped any more / Write its name as text\\.$`,
      ),
    );
    await server.as("agown", "DROP TABLE ag_held");
  });

  it.each([
    ["a schema", "regnamespace", "ag"],
    ["a function of the platform", "regprocedure", "platform.refuse_objects()"],
    ["a view of the platform", "regclass", "platform.pg_stat_statements"],
  ])("is refused of %s", async (_, type, name) => {
    const number = await numberOf(name, type);
    expect(await refusal("gtown", `CREATE VIEW gt_v AS SELECT '${number}'::${type} AS t`)).toContain(
      "which is of a schema it has no right to",
    );
  });

  it("is refused in what an owner has from before, and named by the audit", async () => {
    await server.as("agown", "CREATE TABLE IF NOT EXISTS ag_held ()");
    const number = await numberOf("ag.ag_held", "regclass");
    await pastTheGuard(server, "gtown", `CREATE VIEW gt.gt_v AS SELECT '${number}'::regclass AS t`);
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      expect.stringContaining("table ag.ag_held"),
    ]);
    await server.as("gtown", "DROP VIEW gt_v");
    await server.as("agown", "DROP TABLE ag_held");
  });

  it("is as free as ever of one's own, and of what the platform gives to all", async () => {
    await server.as(
      "gtown",
      `CREATE SEQUENCE gt_s; CREATE TABLE gt_t (id int DEFAULT nextval('gt_s'), c extensions.citext);
       CREATE FUNCTION gt.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM gt_t; END`,
    );
  });
});

describe("EXTRACT of a text, which PostgreSQL writes out as it is", () => {
  const table = "CREATE TABLE gt_t (n numeric, t timestamp)";
  const places: readonly (readonly [string, (extract: string) => string])[] = [
    ["in a view", (extract) => `${table}; CREATE VIEW gt_v AS SELECT ${extract} AS x FROM gt_t`],
    [
      "in a materialized view",
      (extract) => `${table}; CREATE MATERIALIZED VIEW gt_v AS SELECT ${extract} AS x FROM gt_t`,
    ],
    [
      "of a date",
      (extract) => `${table}; CREATE VIEW gt_v AS SELECT ${extract.replace("t)", "t::date)")} AS x FROM gt_t`,
    ],
    ["of an interval", (extract) => `CREATE VIEW gt_v AS SELECT ${extract.replace("t)", "interval '1 s')")} AS x`],
    ["of now()", (extract) => `CREATE VIEW gt_v AS SELECT ${extract.replace("t)", "now())")} AS x`],
    [
      "behind a good one",
      (extract) => `${table}; CREATE VIEW gt_v AS SELECT EXTRACT(year FROM t) + ${extract} AS x FROM gt_t`,
    ],
    [
      "in a view's default",
      (extract) =>
        `${table}; CREATE VIEW gt_v AS TABLE gt_t; ALTER VIEW gt_v ALTER n SET DEFAULT ${extract.replace("t)", "now())")}`,
    ],
    ["in a default", (extract) => `CREATE TABLE gt_t (n numeric DEFAULT ${extract.replace("t)", "now())")})`],
    [
      "in a default given later",
      (extract) => `${table}; ALTER TABLE gt_t ALTER n SET DEFAULT ${extract.replace("t)", "now())")}`,
    ],
    [
      "in a generated column",
      (extract) => `CREATE TABLE gt_t (t timestamp, n numeric GENERATED ALWAYS AS (${extract}) STORED)`,
    ],
    ["in a check", (extract) => `CREATE TABLE gt_t (t timestamp CHECK (${extract} > 0))`],
    ["in a check given later", (extract) => `${table}; ALTER TABLE gt_t ADD CHECK (${extract} > 0)`],
    ["in a domain", (extract) => `CREATE DOMAIN gt.d AS numeric DEFAULT ${extract.replace("t)", "now())")}`],
    [
      "in a domain's default given later",
      (extract) => `CREATE DOMAIN gt.d AS numeric; ALTER DOMAIN gt.d SET DEFAULT ${extract.replace("t)", "now())")}`,
    ],
    ["in a domain's check", (extract) => `CREATE DOMAIN gt.d AS date CHECK (${extract.replace("t)", "VALUE)")} > 0)`],
    [
      "in a domain's check given later",
      (extract) => `CREATE DOMAIN gt.d AS date; ALTER DOMAIN gt.d ADD CHECK (${extract.replace("t)", "VALUE)")} > 0)`,
    ],
    [
      "in a function",
      (extract) => `CREATE FUNCTION gt.f(t timestamp) RETURNS numeric LANGUAGE sql BEGIN ATOMIC SELECT ${extract}; END`,
    ],
    [
      "in a function's argument",
      (extract) =>
        `CREATE FUNCTION gt.f(n numeric DEFAULT ${extract.replace("t)", "now())")}) RETURNS numeric LANGUAGE sql AS 'SELECT n'`,
    ],
    ["in a policy", (extract) => `${table}; CREATE POLICY p ON gt_t USING (${extract} > 0)`],
    ["in a policy's check", (extract) => `${table}; CREATE POLICY p ON gt_t WITH CHECK (${extract} > 0)`],
    [
      "in a policy altered",
      (extract) => `${table}; CREATE POLICY p ON gt_t USING (true); ALTER POLICY p ON gt_t USING (${extract} > 0)`,
    ],
    [
      "in a trigger",
      (extract) =>
        `${table}; CREATE FUNCTION gt.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER g BEFORE INSERT ON gt_t FOR EACH ROW WHEN (${extract.replace("t)", "NEW.t)")} > 0) EXECUTE FUNCTION gt.f()`,
    ],
    ["in an index", (extract) => `${table}; CREATE INDEX ON gt_t ((${extract}))`],
    ["in an index's condition", (extract) => `${table}; CREATE INDEX ON gt_t (n) WHERE ${extract} > 0`],
    ["in an exclusion", (extract) => `CREATE TABLE gt_t (t timestamp, EXCLUDE ((${extract}) WITH =))`],
    ["in a partition key", (extract) => `CREATE TABLE gt_t (t timestamp) PARTITION BY RANGE ((${extract}))`],
  ];

  it.each(places)("is refused %s: it would stand as SQL in every dump", async (_, sql) => {
    expect(await refusal("gtown", sql("EXTRACT('year FROM now()) > 0); DROP TABLE ag.ag_t; --' FROM t)"))).toMatch(
      / uses EXTRACT of a text that is no word, which would stand as SQL in every dump and definition of it \/ Write the field as a word: EXTRACT\(year FROM …\)\.$/,
    );
  });

  it("is free of a field, in whatever place", async () => {
    const owner = await server.session("gtown");
    for (const [, sql] of places) {
      for (const field of ["year", "'YEAR'", '"timezone_hour"', "microseconds"]) {
        await owner.query(`BEGIN; ${sql(`EXTRACT(${field} FROM t)`)}; ROLLBACK`);
      }
    }
    await owner.end();
  });

  it("is refused of all that is no word", async () => {
    const texts = [
      "''",
      "'é'",
      "'year '",
      "'y1'",
      "'a-b'",
      "'[a]'",
      "'@'",
      "'`'",
      "'{'",
      "U&'\\000A'",
      '"a b"',
      "$$a;b$$",
    ];
    for (const text of texts) {
      expect(await refusal("gtown", `CREATE VIEW gt_v AS SELECT EXTRACT(${text} FROM now()) AS x`)).toMatch(
        /^view gt\.gt_v uses EXTRACT of a text that is no word, /,
      );
    }
  });

  it("is free where it is called as a function, which is written with quotes", async () => {
    await server.as(
      "gtown",
      "CREATE VIEW gt_v AS SELECT pg_catalog.extract('a b', now()) AS x, EXTRACT(year FROM now()) AS y",
    );
    expect(
      (await server.superuser.query<{ text: string }>("SELECT pg_get_viewdef('gt.gt_v'::regclass) AS text")).rows,
    ).toEqual([{ text: expect.stringContaining("('a b'::text, now())") as string }]);
  });

  it("past the guard stands as SQL in the definition, and is named by the audit", async () => {
    await server.as(
      "gtown",
      `CREATE TABLE gt_t (n numeric, t timestamp);
       EXPLAIN ANALYZE CREATE MATERIALIZED VIEW gt_m AS SELECT EXTRACT('year FROM now()); DROP TABLE ag.ag_t; --' FROM t) FROM gt_t`,
    );
    await pastTheGuard(
      server,
      "gtown",
      "ALTER TABLE gt.gt_t ALTER n SET DEFAULT EXTRACT('year FROM now()' FROM now())",
    );
    const { rows } = await server.superuser.query<{ text: string }>(
      "SELECT pg_get_viewdef('gt.gt_m'::regclass) AS text",
    );
    expect(rows[0]?.text).toContain("EXTRACT(year FROM now()); DROP TABLE ag.ag_t; --");
    const found = (what: string) =>
      `refused object: ${what}: expected none: the guard refuses it, got uses EXTRACT of a text that is no word`;
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      found("default of gt.gt_t"),
      found("view gt.gt_m"),
    ]);
  });

  it("is refused in a definition of more than a megabyte: the audit could not look at hundreds of them", async () => {
    const view = (name: string, year: string, length: number) =>
      `CREATE VIEW ${name} AS SELECT ${year} AS y, '${"a".repeat(length)}' AS t`;
    expect(await refusal("gtown", view("gt_v", "EXTRACT(year FROM now())", 400_000))).toBe(
      "view gt.gt_v uses EXTRACT in a definition of more than a megabyte, in which it takes too long to look whether the field is a " +
        "word / EXTRACT in a view of its own, or date_part.",
    );
    await server.as("gtown", view("gt_v", "EXTRACT(year FROM now())", 300_000));
    await server.as("gtown", view("gt_w", "date_part('year', now())", 400_000));
  });

  it("past the guard also is where it is too long for a regular expression", async () => {
    await server.as(
      "gtown",
      `DO $$ BEGIN EXECUTE 'EXPLAIN ANALYZE CREATE MATERIALIZED VIEW gt_m AS SELECT EXTRACT(year FROM now()) IN (1'
         || repeat(',1', 100000) || ') AS x LIMIT 0'; END $$`,
    );
    expect((await auditViolations(plan, server.superuser)).map(describeViolation)).toEqual([
      expect.stringContaining("view gt.gt_m"),
    ]);
  });
});

describe("materialized views", () => {
  it("are a hundred in a schema at most: pg_dump follows each to all it is made of", async () => {
    const make =
      "DO $$ BEGIN FOR n IN 1..101 LOOP EXECUTE format('CREATE MATERIALIZED VIEW gt_m%s AS SELECT 1 AS a', n); END LOOP; END $$";
    expect(await refusal("gtown", make)).toMatch(
      /^materialized view gt\.gt_m101 uses more than 100 of them beside it in its schema, .* \/ A table that a job fills does as well\.$/,
    );
    await server.as("gtown", make.replace("101", "100"));
  });

  it("past the guard are counted by status, and named by the audit", async () => {
    const make = "EXPLAIN ANALYZE CREATE MATERIALIZED VIEW gt_m%s AS SELECT 1 AS a";
    await server.as("gtown", `DO $$ BEGIN FOR n IN 1..101 LOOP EXECUTE format('${make}', n); END LOOP; END $$`);
    const { schemas } = await status();
    expect(schemas.filter(({ materializedViews }) => materializedViews > 0)).toEqual([
      expect.objectContaining({ name: "gt", materializedViews: 101 }),
    ]);
    const violations = (await auditViolations(plan, server.superuser)).map(describeViolation);
    expect(violations.filter((line) => line.includes("materialized view gt.gt_m"))).toHaveLength(101);
  });
});

describe("what is UNLOGGED", () => {
  const why =
    "uses UNLOGGED, which whoever makes the server crash empties, and no base backup and no replica has / " +
    "Leave UNLOGGED out; ALTER … SET LOGGED for one that is there.";

  it.each([
    ["table", "CREATE UNLOGGED TABLE gt_u (id int)"],
    ["table", "CREATE UNLOGGED TABLE gt_u AS SELECT 1 AS id"],
    ["table", "SELECT 1 AS id INTO UNLOGGED gt_u"],
    ["table", "CREATE UNLOGGED TABLE gt_u (id int) PARTITION BY LIST (id)"],
    ["table", "CREATE TABLE gt_u (id int); ALTER TABLE gt_u SET UNLOGGED"],
    ["sequence", "CREATE UNLOGGED SEQUENCE gt_u"],
    ["sequence", "CREATE SEQUENCE gt_u; ALTER SEQUENCE gt_u SET UNLOGGED"],
  ])("is refused, a %s, by %s", async (kind, sql) => {
    expect(await refusal("gtown", sql)).toBe(`${kind} gt.gt_u ${why}`);
  });

  it.each(["CREATE UNLOGGED TABLE gt.gt_u ()", "ALTER TABLE gt.gt_u SET UNLOGGED"])(
    "is refused in what a refresh's own query does, which is not reported: %s",
    async (sql) => {
      if (sql.startsWith("ALTER")) await server.as("gtown", "CREATE TABLE gt_u ()");
      await server.as(
        "gtown",
        `CREATE FUNCTION mk() RETURNS int LANGUAGE plpgsql AS $$ BEGIN ${sql}; RETURN 1; END $$;
         CREATE MATERIALIZED VIEW gt_mv AS SELECT gt.mk() AS x WITH NO DATA`,
      );
      expect(await refusal("gtown", "REFRESH MATERIALIZED VIEW gt_mv")).toBe(`table gt.gt_u ${why}`);
    },
  );

  it("from before, or by EXPLAIN ANALYZE, is named by the audit, keeps nothing else from being altered, and can be made logged", async () => {
    await pastTheGuard(server, "gtown", "CREATE UNLOGGED TABLE gt.gt_u (id serial)");
    await server.as("gtown", "EXPLAIN ANALYZE CREATE UNLOGGED TABLE gt_v AS SELECT 1 AS id");
    const named = async () =>
      (await auditViolations(plan, server.superuser))
        .map(describeViolation)
        .filter((line) => line.includes("UNLOGGED"));
    expect(await named()).toEqual(
      ["sequence gt.gt_u_id_seq", "table gt.gt_u", "table gt.gt_v"].map((what): unknown =>
        expect.stringContaining(what),
      ),
    );
    await server.as("gtown", "CREATE TABLE gt_a (id int); ALTER TABLE gt_a ADD COLUMN more int");
    await server.as("gtown", "CREATE MATERIALIZED VIEW gt_m AS SELECT 1 AS one; REFRESH MATERIALIZED VIEW gt_m");
    await server.as("gtown", "ALTER TABLE gt_u SET LOGGED");
    await server.as("gtown", "ALTER TABLE gt_v SET LOGGED");
    expect(await named()).toEqual([]);
  });

  it("comes back where a dump has it", async () => {
    const login = "gtown_restore_0123abcd";
    await server.superuser.query(`CREATE ROLE ${login} SUPERUSER LOGIN`);
    await server.superuser.query(
      `SET SESSION AUTHORIZATION ${login}; SET ROLE gtown; CREATE UNLOGGED TABLE gt.gt_u (id int); RESET SESSION AUTHORIZATION`,
    );
    await server.superuser.query(`DROP ROLE ${login}`);
    const { rows } = await server.superuser.query("SELECT relpersistence AS is FROM pg_class WHERE relname = 'gt_u'");
    expect(rows).toEqual([{ is: "u" }]);
  });
});

describe("a storage parameter", () => {
  it("of half a megabyte is refused: each dump of anybody reads all of them", async () => {
    // Stored in six kilobytes.
    const long = (end: string) => `'${"0".repeat(490_000)}${end}'`;
    const refused = /^storage parameters gt\.\S+ uses 49\d{4} bytes, with which a dump of anybody takes gigabytes, and/;
    await server.as("gtown", "CREATE TABLE gt.gt_short (id int)");
    for (const statement of [
      `CREATE TABLE gt.gt_long (id int) WITH (fillfactor = ${long("44")})`,
      `CREATE TABLE gt.gt_long (id text) WITH (toast.autovacuum_vacuum_threshold = ${long("44")})`,
      `ALTER TABLE gt.gt_short SET (fillfactor = ${long("44")})`,
      `CREATE INDEX ON gt.gt_short (id) WITH (fillfactor = ${long("44")})`,
    ]) {
      expect(await refusal("gtown", statement)).toMatch(refused);
    }
    await server.as("gtown", "ALTER TABLE gt.gt_short SET (fillfactor = 70); DROP TABLE gt.gt_short");
  });
});

describe("what depends on thousands of columns", () => {
  it("is refused: each dump of anybody has all of that in memory", async () => {
    const columns = Array.from({ length: 1_600 }, (_, n) => `c${n} bool`).join(", ");
    const tables = ["a", "b", "c", "d"].map((name) => `gt.gt_${name}`);
    await server.as("gtown", tables.map((table) => `CREATE TABLE ${table} (${columns})`).join(";"));
    const view = (of: readonly string[]) =>
      `CREATE VIEW gt.gt_all AS SELECT 1 AS one FROM ${of.join(", ")} WHERE ${of.map((table) => `ROW(${table}.*) IS NULL`).join(" OR ")}`;
    expect(await refusal("gtown", view(tables))).toBe(
      "view gt.gt_all uses 6401 dependencies, all of which each dump of anybody has in memory / Fewer columns of fewer tables.",
    );
    const generated = Array.from(
      { length: 90 },
      (_, n) =>
        `g${n} bool GENERATED ALWAYS AS (${Array.from({ length: 60 }, (__, c) => `c${c}`).join(" OR ")}) STORED`,
    );
    expect(
      await refusal(
        "gtown",
        `CREATE TABLE gt.gt_generated (${[...columns.split(", ").slice(0, 60), ...generated].join(", ")})`,
      ),
    ).toMatch(/^default of gt\.gt_generated uses 5\d{3} dependencies, /);
    await server.as("gtown", `${view(tables.slice(0, 2))}; DROP VIEW gt.gt_all; DROP TABLE ${tables.join(", ")}`);
  });
});

describe("a function", () => {
  it("with settings of more than a kilobyte is refused: no dump would end", async () => {
    const letters = Array.from({ length: 3000 }, (_, n) => String.fromCharCode(97 + ((n * n * 31 + n) % 26))).join("");
    const create = (setting: string) => `CREATE FUNCTION gt.f() RETURNS int LANGUAGE sql SET ${setting} AS 'SELECT 1'`;
    const long = Array.from({ length: 200_000 }, (_, n) => letters[(n * 7919) % 3000]).join("");
    // The second is stored in less than a kilobyte.
    const compressed = Array<string>(20_000).fill("gt").join(", ");
    for (const setting of [`application_name = '${long}'`, `search_path = ${compressed}`]) {
      expect(await refusal("gtown", create(setting))).toMatch(
        /^function gt\.f\(\) uses \d{5,} bytes of settings, at which no dump would end \/ Shorter ones\.$/,
      );
    }
    await server.as("gtown", create("application_name = 'a job'"));
  });
});

describe("millions of dependencies, which pg_dump has in memory whatever it is asked for", () => {
  it("open: views of all columns of wide tables have them; status names the schema", async () => {
    expect((await status()).dependencies).toEqual([]);
    const owner = await server.session("gtown");
    const columns = Array.from({ length: 1_600 }, (_, n) => `c${n} bool`).join(", ");
    const tables = Array.from({ length: 3 }, (_, n) => `gt_wide${n}`);
    for (const table of tables) await owner.query(`CREATE TABLE ${table} (${columns})`);
    const all = tables.map((table) => `ROW(${table}.*) IS NULL`).join(" OR ");
    const view = `CREATE VIEW gt_all AS SELECT 1 AS one FROM ${tables.join(", ")} WHERE ${all}`;
    await owner.query(view);
    const { rows } = await owner.query(
      "SELECT count(*)::int AS number FROM pg_depend WHERE classid = 'pg_rewrite'::regclass",
    );
    expect(rows).toEqual([{ number: expect.closeTo(5_000, -3) as unknown }]);
    // As four hundred more of such views have, at once.
    await server.superuser.query(
      `SET allow_system_table_mods = on;
       INSERT INTO pg_depend SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype
         FROM pg_depend CROSS JOIN generate_series(1, 400) WHERE classid = 'pg_rewrite'::regclass;
       RESET allow_system_table_mods`,
    );
    const [most] = (await status()).dependencies;
    await owner.end();
    expect(most?.schema).toBe("gt");
    expect(most?.number).toBeGreaterThan(1_500_000);
    expect(most?.number).toBeLessThan(2_500_000);
  });
});

/** As `status` asks. */
async function status(): Promise<ServerStatus> {
  const text = readFileSync(join(__dirname, "..", "..", "ops", "status", "server.sql"), "utf8");
  const app = await server.session("app");
  const results = (await app.query({ text, rowMode: "array" })) as unknown as { rows: [ServerStatus][] }[];
  await app.end();
  const found = results.at(-1)?.rows[0]?.[0];
  if (found === undefined) throw new Error("it says nothing");
  return found;
}
