import { Client } from "pg";
import fc from "fast-check";
import { escapeIdentifier } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { serviceOf } from "../../agent/drills/findings";
import { findingsOf } from "../../ops/audit/part";
import { auditPrivileges } from "../../ops/audit/privileges";
import { rowsOf } from "../../ops/audit/rows";
import { audit } from "../../ops/audit/audit";
import { describeFinding, type Finding } from "../../ops/audit/finding";
import { renderFixes } from "../../ops/audit/render";
import { services } from "../../services/registry";
import { deviations } from "../support/deviations";
import { mutatedPlan as plan } from "../support/mutants";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// One deviation of each kind, and on each kind of object: found, named, repaired by the SQL that is printed, gone.
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  for (const { code } of plan.services) {
    await server.as(
      `${code}own`,
      `CREATE TABLE ${code}_t (id serial, note text); CREATE VIEW ${code}_v AS SELECT note FROM ${code}_t;
       CREATE MATERIALIZED VIEW ${code}_m AS SELECT note FROM ${code}_t; CREATE SEQUENCE ${code}_s;
       CREATE TABLE ${code}_p (id int) PARTITION BY LIST (id); CREATE TABLE ${code}_p1 PARTITION OF ${code}_p DEFAULT;
       CREATE FUNCTION ${code}_f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
       CREATE PROCEDURE ${code}_c() LANGUAGE sql AS 'SELECT 1'; CREATE TYPE ${code}.e AS ENUM ('a');
       CREATE TYPE ${code}.r AS RANGE (subtype = int4); CREATE DOMAIN ${code}.d AS text`,
    );
  }
  await server.superuser.query("SET session_replication_role = replica"); // past the guard
});
afterAll(() => server.stop());
afterEach(() => server.superuser.query("ROLLBACK")); // of a repair that failed

const look = async () => audit(plan, server.superuser, server);
const described = async () => (await look()).map(describeFinding);

async function repair(findings: readonly Finding[]): Promise<void> {
  await server.superuser.query(renderFixes(findings, true));
}

it("finds nothing where nothing was done", async () => {
  expect(await described()).toEqual([]);
});

describe("a deviation is named, and gone after the SQL that repairs it:", () => {
  it.each(deviations)("%s", async (_, sql, found) => {
    await server.superuser.query(sql);
    const findings = await look();
    expect(findings.map(describeFinding).sort()).toEqual([...found].sort());
    await repair(findings);
    // What was moved into a schema shows only there which rights it lacks.
    if (/in schema (public|extensions)$/.test(found[0] ?? "")) await repair(await look());
    expect(await described()).toEqual([]);
  });
});

describe("the audit", () => {
  it("finds deviations together as well as alone, and repairs them all in one transaction", async () => {
    const together = deviations.filter(([name]) => !name.endsWith("public") && !name.endsWith("in extensions"));
    const chosen = fc.sample(fc.shuffledSubarray([...together], { minLength: 8, maxLength: 20 }), 3);
    for (const some of chosen) {
      // Some cannot be done after others: they change the same thing.
      const done: (readonly string[])[] = [];
      for (const [, sql, found] of some) {
        const worked = await server.superuser.query(sql).then(
          () => true,
          () => server.superuser.query("RESET ROLE").then(() => false),
        );
        if (worked) done.push(found);
      }
      expect(done.length).toBeGreaterThan(4);
      const named = await described();
      expect(named.length, some.map(([name]) => name).join(", ")).toBeGreaterThan(4);
      for (let left = 3; left > 0 && (await look()).length > 0; left--) await repair(await look());
      expect(await described(), some.map(([name]) => name).join(", ")).toEqual([]);
    }
  });

  it("repairs the rights on what has lost its prefix, and then its name", async () => {
    await server.superuser.query("GRANT USAGE ON SEQUENCE gt.gt_s TO gtuser; ALTER SEQUENCE gt.gt_s RENAME TO s");
    expect(await described()).toHaveLength(2);
    await repair(await look());
    expect(await described()).toEqual([]);
  });

  it("tells whose doing it is, whomever it names, so that a drill holds it against nobody else", async () => {
    await server.superuser.query(
      `CREATE INDEX gt_i ON gt.gt_t (gt.gt_f(id)); ALTER TABLE gt.gt_t ADD CONSTRAINT sc_k CHECK ('sc.sc_t'::regclass <> id);
       GRANT SELECT ON gt.gt_t TO PUBLIC; GRANT INSERT (note) ON gt.gt_t TO scapp; GRANT EXECUTE ON FUNCTION gt.gt_f(int) TO scuser;
       REVOKE SELECT ON gt.gt_v FROM app; ALTER DEFAULT PRIVILEGES FOR ROLE gtown GRANT SELECT ON TABLES TO scapp, PUBLIC;
       ALTER PROCEDURE gt.gt_c() SECURITY DEFINER; ALTER TABLE gt.gt_p1 RENAME TO p1; ALTER ROLE gtapp SET work_mem = '1MB';
       CREATE ROLE gtown_restore_1a2b3c4d LOGIN`,
    );
    const findings = await look();
    await server.superuser.query("ALTER TABLE gt.gt_t DROP CONSTRAINT sc_k");
    await repair(findings);
    const named = (await look()).map(describeFinding);
    expect(findings.filter((finding) => serviceOf(finding, plan.services) !== "gt").map(describeFinding)).toEqual([]);
    expect(new Set(findings.map(({ kind }) => kind)).size).toBe(7);
    expect(named).toEqual([]);
  });

  it("says what a person must do where no SQL repairs it", async () => {
    await server.superuser.query("CREATE DATABASE stray");
    const [finding, ...others] = await look();
    expect(others).toEqual([
      expect.objectContaining({ what: "CONNECT on database stray" }),
      expect.objectContaining({ what: "TEMPORARY on database stray" }),
    ]);
    expect(finding?.byHand).toBe("not in a transaction: DROP DATABASE stray, after a look into it");
    await server.superuser.query("DROP DATABASE stray");
  });

  it("prints SQL that the guard does not refuse, whatever else is in the schema", async () => {
    await server.superuser.query(
      `SET session_replication_role = replica; ALTER TABLE gt.gt_t SET (autovacuum_vacuum_cost_delay = 100);
       ALTER TABLE gt.gt_p1 RENAME TO p1; RESET session_replication_role`,
    );
    await repair((await look()).filter(({ kind }) => kind === "prefix"));
    expect((await described()).filter((line) => line.includes("prefix"))).toEqual([]);
    await repair(await look());
    await server.superuser.query("SET session_replication_role = replica");
    expect(await described()).toEqual([]);
  });

  it("names what is missing whole", async () => {
    const more = testPlan([...services.slice(0, 4)]);
    const found = (await audit(more, server.superuser, undefined)).map(describeFinding);
    expect(found).toEqual(
      expect.arrayContaining([
        "lgown: role: expected there, found no such role",
        "platform: schema lg: expected there, found no such schema",
      ]),
    );
  });

  it("repairs others' findings also where an owner's objects can hardly be named: a name that is taken, procedures alike but for OUT", async () => {
    await server.superuser.query(
      `SET ROLE gtown; CREATE TABLE gt.gt_dup (); CREATE TABLE gt.dup ();
       CREATE PROCEDURE gt.gt_p2(IN a int) LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
       CREATE PROCEDURE gt.gt_p2(OUT a int) LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
       RESET ROLE; GRANT USAGE ON SCHEMA gt TO scapp; GRANT EXECUTE ON PROCEDURE gt.gt_p2(IN int) TO scapp`,
    );
    const findings = await look();
    await server.superuser.query(renderFixes(findings, false));
    expect(await described()).toEqual(["gtown: table gt.dup: expected the prefix gt_, found none"]);
    await server.superuser.query(
      "DROP TABLE gt.dup, gt.gt_dup; DROP PROCEDURE gt.gt_p2(IN int); DROP PROCEDURE gt.gt_p2(OUT int)",
    );
  });

  it("says what it could not look at, and what it found all the same", async () => {
    await server.superuser.query("GRANT SELECT ON ALL TABLES IN SCHEMA gt TO scapp");
    const { host, port, superuser } = server;
    const other = new Client({
      host,
      port,
      user: superuser.user,
      password: superuser.password,
      database: plan.database,
    });
    await other.connect();
    await other.query("BEGIN; LOCK TABLE pg_default_acl IN ACCESS EXCLUSIVE MODE");
    const lines = await described();
    await other.end();
    expect(lines).toContain(
      "the default privileges: expected an answer, found canceling statement due to lock timeout",
    );
    expect(lines.some((line) => line.startsWith("scapp: SELECT on table gt."))).toBe(true);
    await repair(await look());
  });

  it("does not take a full connection limit for a wrong password, nor a frozen role's refusal for a fault", async () => {
    const sessions = await Promise.all([1, 2].map(() => server.session("gtuser")));
    expect(await described()).toEqual([]);
    await Promise.all(sessions.map((session) => session.end()));
  });

  it("prints SQL that no name leads astray: not out of a comment, not into another statement", async () => {
    const evil = `gt_x"; DROP TABLE gt.gt_t; --\n$$\nDROP TABLE gt.gt_t; --`;
    await server.superuser.query(
      `CREATE TABLE gt.${escapeIdentifier(evil)} (id int); CREATE ROLE ${escapeIdentifier(evil)} LOGIN;
       GRANT INSERT ON gt.${escapeIdentifier(evil)} TO ${escapeIdentifier(evil)};
       CREATE SCHEMA ${escapeIdentifier(evil)}`,
    );
    const findings = await look();
    for (const line of renderFixes(findings, false)
      .split("\n")
      .filter((one) => one.startsWith("--"))) {
      expect(line).not.toMatch(/[\x00-\x08\x0b-\x1f]/);
    }
    await server.superuser.query(renderFixes(findings, false));
    expect((await described()).filter((line) => !line.includes("expected no such"))).toEqual([]);
    await repair(await look());
    await server.superuser.query(`DROP TABLE gt.${escapeIdentifier(evil)}`);
    expect(await described()).toEqual([]);
  });
});

describe("where an answer takes too long", () => {
  const withLimits = (wholeMs: number, schemaMs: number) =>
    audit(plan, server.superuser, undefined, { wholeMs, schemaMs });
  const unheard = ({ kind }: Finding) => kind === "not audited";

  it("each schema is asked by itself, and so is what is in none: all is found as by asking at once", async () => {
    await server.superuser.query(
      `GRANT SELECT ON gt.gt_t TO scapp; GRANT USAGE ON SCHEMA public TO gtapp; ALTER TABLE sc.sc_p1 RENAME TO p1;
       ALTER TABLE gt.gt_t OWNER TO scown; CREATE TABLE public.stray (); CREATE INDEX sc_i ON sc.sc_t (sc.sc_f(id));
       CREATE SCHEMA stray; ALTER TABLE gt.gt_p1 SET (autovacuum_vacuum_cost_delay = 100)`,
    );
    const atOnce = (await look()).map(describeFinding);
    const apart = (await withLimits(1, 60_000)).filter((finding) => !unheard(finding)).map(describeFinding);
    await server.superuser.query("DROP TABLE public.stray");
    await repair(await look());
    expect(atOnce).toHaveLength(8);
    expect([...apart].sort()).toEqual([...atOnce].sort());
    expect(await described()).toEqual([]);
  });

  it("it is nobody's doing where not even what is in no service's schema is told", async () => {
    const findings = (await withLimits(1, 1)).filter(unheard);
    expect(findings.map(describeFinding)).toContain(
      "the privileges: expected an answer, found canceling statement due to statement timeout",
    );
    expect(findings.filter(({ schema }) => schema !== undefined)).toEqual([]);
  });

  it("what a restore has kept is named as a schema, whatever is in it, and keeps nobody else's from being told", async () => {
    const kept = "gt_before_20261128t000000";
    await server.superuser.query(
      `CREATE SCHEMA ${kept}; CREATE TABLE ${kept}.gt_t () WITH (autovacuum_vacuum_cost_delay = 100);
       GRANT SELECT ON ${kept}.gt_t TO scapp; ALTER TABLE gt.gt_p1 SET (autovacuum_vacuum_cost_delay = 100)`,
    );
    const findings = (await look()).map(({ kind, what }) => `${kind}: ${what}`);
    await server.superuser.query(
      `DROP SCHEMA ${kept} CASCADE; ALTER TABLE gt.gt_p1 RESET (autovacuum_vacuum_cost_delay)`,
    );
    expect(findings).toContain(`undeclared schema: schema ${kept}`);
    expect(findings.filter((line) => line.includes(`${kept}.`))).toEqual([]);
    expect(findings).toContain("refused object: table gt.gt_p1");
  });

  it("what one service has keeps that one from being audited, which is named, and no other", async () => {
    await server.superuser.query("GRANT SELECT ON sc.sc_t TO gtapp; BEGIN");
    // As much of gt's as the audit could not read in time.
    const look = async (schemas: readonly string[]) => {
      if (schemas.includes("gt")) await server.superuser.query("SELECT pg_sleep(3600)");
      return auditPrivileges(plan, server.superuser, schemas);
    };
    const services = plan.services.map(({ code }) => code);
    const limits = { wholeMs: 100, schemaMs: 3000 };
    const findings = await findingsOf({ name: "privileges", services, look }, server.superuser, limits);
    await server.superuser.query("ROLLBACK; REVOKE SELECT ON sc.sc_t FROM gtapp");
    expect(findings.map(describeFinding)).toEqual([
      "the privileges in schema gt: expected an answer, found canceling statement due to statement timeout",
      "gtapp: SELECT on table sc.sc_t: expected denied, found allowed",
    ]);
    expect(findings.filter(unheard).map((finding) => serviceOf(finding, plan.services))).toEqual(["gt"]);
  });
});

describe("an answer of which there is more than one text has room for", () => {
  it("keeps that service from being audited, which is named, and no other", async () => {
    await server.superuser.query("GRANT SELECT ON sc.sc_t TO gtapp; BEGIN");
    // As an owner makes it of thousands of names of half a megabyte.
    const look = async (schemas: readonly string[]) => {
      const long = "SELECT repeat('x', 35000000) AS name FROM generate_series(1, 2)";
      if (schemas.includes("gt")) await rowsOf(server.superuser, long);
      return auditPrivileges(plan, server.superuser, schemas);
    };
    const services = plan.services.map(({ code }) => code);
    const limits = { wholeMs: 60_000, schemaMs: 60_000 };
    const findings = await findingsOf({ name: "privileges", services, look }, server.superuser, limits);
    await server.superuser.query("ROLLBACK; REVOKE SELECT ON sc.sc_t FROM gtapp");
    expect(findings.map(describeFinding)).toEqual([
      "the privileges in schema gt: expected an answer, found more than 64 MiB are found",
      "gtapp: SELECT on table sc.sc_t: expected denied, found allowed",
    ]);
  });

  it("is as it is where it is less", async () => {
    const rows = await rowsOf(
      server.superuser,
      "SELECT n, ARRAY['a', 'b'] AS list FROM generate_series(1, 2) n ORDER BY n DESC;",
    );
    expect(rows).toEqual([2, 1].map((n) => ({ n, list: ["a", "b"] })));
  });
});
