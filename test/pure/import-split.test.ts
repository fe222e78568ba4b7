import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inArchive } from "../../agent/import/archive";
import { entryOf } from "../../agent/import/entry";
import { splitPlain } from "../../agent/import/split";
import { planAccess } from "../../components/access/plan";
import { services } from "../../services/registry";

// Whose a statement of pg_dump's is, whatever somebody has written into his rows and bodies.
const plan = planAccess(services.slice(0, 2), { database: "appdb", extensions: ["citext"] });
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-split-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const head = `--
-- PostgreSQL database dump
--

\\restrict key

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

`;
const tail = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict key\n\n";
const entry = (schema: string, type: string, name: string, text: string, owner = `${schema}own`) =>
  `--\n-- ${type.endsWith("DATA") ? "Data for " : ""}Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ${owner}\n--\n\n${text}\n\n\n`;
const schema = (code: string) =>
  entry("-", "SCHEMA", code, `CREATE SCHEMA ${code};\n\n\nALTER SCHEMA ${code} OWNER TO platform;`, "platform");
const whole = (...entries: readonly string[]) => [head, schema("gt"), schema("ag"), ...entries, tail].join("");

/** In pieces that end anywhere. */
function pieces(text: string, size: number): Readable {
  const bytes = Buffer.from(text);
  const each = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
  return Readable.from(each, { objectMode: false });
}

/** What each service's owner runs, without what every part begins with. */
async function split(text: string, size = 50, trustsOwners = false) {
  const to = mkdtempSync(join(folder, "one-"));
  const { parts, incomplete, unverified } = await splitPlain(pieces(text, size), join(to, "parts"), plan, {
    trustsOwners,
  });
  const written = [...parts].map(([code, file]) => [code, readFileSync(file, "utf8")] as const);
  const [gt = "", ag = ""] = ["gt", "ag"].map((code) => new Map(written).get(code)?.split("row_security = off;\n")[1]);
  return { gt, ag, all: written, incomplete, unverified };
}

const forged = entry("ag", "TABLE", "ag_a", "DROP TABLE ag.ag_a;");
const completed = `${forged}\n-- PostgreSQL database dump complete\n`;
const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

describe("a dump is split", () => {
  it("by the schema of what its comments name, and each part begins as its owner, with a key nobody knows", async () => {
    const table = "CREATE TABLE gt.gt_a (\n    id integer\n);";
    const rows = "COPY ag.ag_a (id) FROM stdin;\n1\n\\N\n\\.\n";
    const { gt, ag, all, unverified } = await split(
      whole(
        entry(
          "gt",
          "TABLE",
          "gt_a",
          `${table}\n\n\nALTER TABLE gt.gt_a OWNER TO gtown;\n\nSET default_tablespace = '';`,
        ),
        entry("ag", "TABLE DATA", "ag_a", rows),
        entry("gt", "ACL", "TABLE gt_a", "GRANT SELECT ON TABLE gt.gt_a TO gtapp;"),
      ),
    );
    expect(gt).toBe(`${table}\n`);
    expect(ag).toBe(rows);
    expect(all.map(([, text]) => text.split("\n").slice(0, 2))).toEqual([
      [expect.stringMatching(/^\\restrict [0-9a-f]{32}$/), 'SET ROLE "gtown";'],
      [expect.stringMatching(/^\\restrict [0-9a-f]{32}$/), 'SET ROLE "agown";'],
    ]);
    expect(unverified).toEqual([]);
  });

  it.each([
    ["a text", `COMMENT ON TABLE gt.gt_a IS ${quoted(completed)};`],
    [
      "a text with a backslash at its end",
      `COMMENT ON TABLE gt.gt_a IS '\\';\nCOMMENT ON TABLE gt.gt_b IS ${quoted(completed)};`,
    ],
    ["a text with escapes", `COMMENT ON TABLE gt.gt_a IS E'a\\'\n${completed.replaceAll("'", "")}\\\\''';\nSELECT 1;`],
    ["a name", `CREATE TABLE gt."gt_""\n${completed}" (id integer);`],
    ["a body", `CREATE FUNCTION gt.f() RETURNS int LANGUAGE sql AS $_$ $$ ' \n${completed} $a$ $__$ $_$;`],
    ["a body without a tag", `CREATE FUNCTION gt.f() RETURNS int LANGUAGE sql AS $$ $_$ " \n${completed}$$;`],
    ["a comment in a statement", `SELECT 1 /* /* */ ; '\n${completed} */ + 1 -- ; '\n;`],
    [
      "a row",
      `COPY gt.gt_a (t) FROM stdin;\n'\\\\.\n ${completed.replaceAll("\n", "\\n")}\n${completed}x\\.\n\\. \n\\.\n`,
    ],
  ])("and takes %s that looks like another's for what it is", async (_, statements) => {
    const after = "CREATE TABLE ag.ag_b (a$b$ integer, c$b$ integer);";
    for (const size of [1, 7, 100_000]) {
      const { gt, ag } = await split(
        whole(entry("gt", "TABLE", "gt_a", statements), entry("ag", "TABLE", "ag_b", after)),
        size,
      );
      expect(gt.trim()).toBe(statements.trim());
      expect(ag).toBe(`${after}\n`);
    }
  });

  it("and leaves in it whatever is in a text, a body, a name or a row", async () => {
    const noise = fc
      .array(
        fc.constantFrom(
          ...["'", '"', "\\", "$", "$$", "$a$", "E'", "/*", "*/", "--", ";", "\n", "\\.", "é", "a"],
          forged,
        ),
      )
      .map((parts) => parts.join(""));
    const one = fc.oneof(
      noise.map((text) => `COMMENT ON TABLE gt.gt_a IS ${quoted(text)};`),
      noise.map((text) => `COMMENT ON TABLE gt.gt_a IS E'${text.replaceAll(/['\\]/g, "\\$&")}';`),
      noise.map((text) => `CREATE TABLE gt."${text.replaceAll('"', '""')}x" ();`),
      noise.map((text) => `DO $body$${text.replaceAll("$", "S")} $bod $$ $body$;`),
      noise.map((text) => `COPY gt.gt_a (t) FROM stdin;\n${text.replaceAll("\\", "\\\\")}\n\\.`),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 5 }), fc.integer({ min: 1, max: 300 }), async (statements, size) => {
        const text = whole(...statements.map((each) => entry("gt", "TABLE", "gt_a", each)), forged);
        const { gt, ag } = await split(text, size);
        expect(gt.replace(/\n$/, "")).toBe(statements.join("\n"));
        expect(ag).toBe("DROP TABLE ag.ag_a;\n");
      }),
    );
  });

  it("and a name that goes on as if it were another's is its own", async () => {
    const name = "gt_x; Type: TABLE; Schema: ag; Owner: agown";
    const { gt, ag } = await split(whole(entry("gt", "TABLE", name, `CREATE TABLE gt."${name}" ();`)));
    expect(gt).toBe(`CREATE TABLE gt."${name}" ();\n`);
    expect(ag).toBe("");
  });

  it("and refused where EXTRACT stands in it, whose field may be any text, unless its owners are trusted", async () => {
    const view = entry("gt", "VIEW", "gt_v", `CREATE VIEW gt.gt_v AS\n SELECT EXTRACT(year FROM now()) AS y;`);
    for (const size of [1, 7, 100_000]) {
      await expect(split(whole(view), size)).rejects.toThrow(
        /^it has EXTRACT in VIEW gt\.gt_v, whose field PostgreSQL writes as it is; so an owner could pretend to be another: take pg_dump's own format \(-Fc\)/,
      );
    }
    const { gt, unverified } = await split(whole(view), 50, true);
    expect(gt).toContain("SELECT EXTRACT(year FROM now()) AS y;");
    expect(unverified).toEqual([
      "that every statement is of the service it is said to be of: it has EXTRACT in VIEW gt.gt_v, whose field PostgreSQL writes as it is",
    ]);
  });

  it("and refused where EXTRACT stands far behind in a statement", async () => {
    const long = `CREATE VIEW gt.gt_v AS SELECT ${quoted("x".repeat(3_000_000))}, extract(year FROM now());`;
    await expect(split(whole(entry("gt", "VIEW", "gt_v", long)), 65_536)).rejects.toThrow("it has EXTRACT in VIEW");
  });

  it.each([
    "COMMENT ON TABLE gt.gt_a IS 'EXTRACT(year FROM now())';",
    `CREATE TABLE gt."EXTRACT" (extracted integer, an_extract integer, extract$ integer);`,
    "CREATE FUNCTION gt.f() RETURNS float LANGUAGE sql AS $$ SELECT EXTRACT(year FROM now()) $$;",
    "COPY gt.gt_a (t) FROM stdin;\nEXTRACT(year FROM now())\n\\.\n",
  ])("and not for the word in a text, a name, a body or a row: %s", async (statement) => {
    const { gt, unverified } = await split(whole(entry("gt", "TABLE", "gt_a", statement)), 5);
    expect(gt.trim()).toBe(statement.trim());
    expect(unverified).toEqual([]);
  });

  describe("and refused where a sequence's value, which may be any text, is more than a number,", () => {
    const made = (name: string) => entry("gt", "SEQUENCE", name, `CREATE SEQUENCE gt.${name};`);
    const value = (name: string, text: string) =>
      entry("gt", "SEQUENCE SET", name, `SELECT pg_catalog.setval('gt.${name}', ${text}, true);`);
    /** What pg_dump writes around a value, so that another entry can stand between. */
    const begun = (text: string) => `1, true);\n\n\n${text}`;
    const ends = [
      "SELECT f(1",
      "CREATE TRIGGER t EXECUTE FUNCTION f('x'",
      "-- ",
      "\\unrestrict x",
      "SET x = f(1",
      "-- Name: z; Type: TABLE; Schema: gt; Owner: gtown",
    ];
    const setting = (name: string) =>
      `--\n-- Name: ${name}; Type: SEQUENCE SET; Schema: gt; Owner: gtown\n--\n\nSELECT pg_catalog.setval('gt.${name}', 1`;
    it.each<readonly [string, string]>([
      ["a statement in it", value("gt_s", "1, true); UPDATE ag.ag_a SET id = 1; SELECT f(1")],
      ["what is computed", value("gt_s", "(SELECT 1)")],
      ["a comment that goes on", value("gt_s", "1, true); /* ") + forged + value("gt_t", "*/ SELECT f(1")],
      ["rows that go on", value("gt_s", begun("COPY ag.ag_a FROM stdin;\n1")) + value("gt_t", "\n\\.\nSELECT f(1")],
      ["another's sequence", value("gt_s", "1, true);\nSELECT pg_catalog.setval('ag.ag_s', 5")],
      ["itself again", value("gt_s", begun(setting("gt_s")))],
      ["what no sequence was made for", value("gt_s", begun(setting("gt_none")))],
      ["another entry, and a value", value("gt_s", begun(forged + setting("gt_t")))],
      ...ends.map((last) => [`another entry, and ${last}`, value("gt_s", begun(`${forged}${last}`))] as const),
    ])("as by %s", async (_what, text) => {
      const file = whole(
        made("gt_s"),
        made("gt_t"),
        text,
        entry("gt", "INDEX", "gt_i", "CREATE INDEX gt_i ON gt.gt_a (id);"),
      );
      for (const size of [1, 7, 100_000]) {
        await expect(split(file, size)).rejects.toThrow(
          /is not as pg_dump writes it, which writes the value of a sequence as it is; so an owner could pretend/,
        );
      }
      const { unverified } = await split(file, 50, true);
      expect(unverified.join()).toContain("is not as pg_dump writes it");
    });

    it("and not where it is", async () => {
      const odd = `gt_"odd' one`;
      const values = [
        value("gt_s", "-5"),
        entry(
          "gt",
          "SEQUENCE SET",
          odd,
          `SELECT pg_catalog.setval('gt."gt_""odd'' one"', 9223372036854775807, false);`,
        ),
      ];
      const { gt, unverified } = await split(
        whole(
          made("gt_s"),
          entry("gt", "SEQUENCE", odd, `CREATE SEQUENCE gt."gt_""odd' one";`),
          ...values.map((text) => `${text}SET default_tablespace = '';\n\n`),
          entry("gt", "INDEX", "gt_i", "CREATE INDEX gt_i ON gt.gt_a (id);"),
        ),
        5,
      );
      expect(gt.match(/setval/g)).toHaveLength(2);
      expect(unverified).toEqual([]);
    });
  });

  it("and what is behind a name with a line break, of an old pg_dump, is nobody's, where such a file is not refused", async () => {
    const broken = entry("gt", "TABLE", "gt_x\nDROP TABLE ag.ag_a;\n--", "SELECT 1;");
    const text = whole(entry("ag", "TABLE", "ag_a", "CREATE TABLE ag.ag_a ();"), broken).replace(
      "\\restrict key\n",
      "",
    );
    await expect(split(text)).rejects.toThrow(/^its pg_dump may be of before 13\.22, .* --trust-owners where/);
    const { gt, ag, unverified } = await split(text, 50, true);
    expect(gt).toBe("");
    expect(ag).toBe("CREATE TABLE ag.ag_a ();\n");
    expect(unverified).toEqual([
      expect.stringMatching(/^that every statement is of the service .*: its pg_dump may be of before 13\.22, /),
      expect.stringMatching(/^what is of no object, and was left out: -- Name: gt_x; DROP TABLE ag/),
    ]);
  });

  it("and takes no row that says so for a pg_dump of today", async () => {
    const rows = entry(
      "gt",
      "TABLE DATA",
      "gt_a",
      "COPY gt.gt_a (t) FROM stdin;\n\\\\restrict key\n\\.\n\\restrict key\n",
    );
    const old = whole(rows).replace("\\restrict key\n", "");
    await expect(split(old)).rejects.toThrow("its pg_dump may be of before 13.22");
  });

  it("however long a statement is", async () => {
    const long = `INSERT INTO gt.gt_a VALUES (${quoted("x';\n".repeat(700_000))});`;
    const { gt, ag } = await split(whole(entry("gt", "TABLE DATA", "gt_a", long), forged), 65_536);
    expect(gt).toBe(`${long}\n`);
    expect(ag).toBe("DROP TABLE ag.ag_a;\n");
  });
});

describe("what a dump has besides", () => {
  it("is left out, and told where it is something", async () => {
    const { gt, ag, unverified } = await split(
      whole(
        entry("-", "EXTENSION", "citext", "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA extensions;", ""),
        entry("-", "EXTENSION", "hstore", "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;", ""),
        entry("public", "TABLE", "old", "CREATE TABLE public.old ();", "someone"),
        entry("public", "TABLE DATA", "old", "COPY public.old (a) FROM stdin;\n1\n\\.\n", "someone"),
        entry(
          "public",
          "FUNCTION",
          "f(integer)",
          "CREATE FUNCTION public.f(integer) RETURNS int RETURN 1;",
          "postgres",
        ),
        entry("platform", "TABLE", "password", "CREATE TABLE platform.password ();", "postgres"),
        entry(
          "gt",
          "TABLE",
          "gt_a",
          'CREATE TABLE gt.gt_a ();\n\n\nALTER TABLE gt.gt_a OWNER TO "Some ""One";',
          'Some "One',
        ),
        entry("gt", "ACL", "TABLE gt_a", 'GRANT SELECT ON TABLE gt.gt_a TO "a reader" WITH GRANT OPTION;'),
        entry("gt", "PUBLICATION TABLE", "p gt_a", "ALTER PUBLICATION p ADD TABLE ONLY gt.gt_a;", "postgres"),
        "\\! rm -rf /\n",
      ),
    );
    expect([gt, ag]).toEqual(["CREATE TABLE gt.gt_a ();\n", ""]);
    expect(unverified).toEqual([
      `owners and rights of roles that are not the stack's: someone; Some "One; a reader`,
      "extensions that are not the stack's: hstore",
      "tables of no service, which no restore takes: public.old",
      "what else is of no service, and no restore takes: FUNCTION public.f(integer)",
      "what is of no object, and was left out: \\! rm -rf /",
    ]);
  });

  it("is no service, where its schema is not there", async () => {
    const text = [head, schema("gt"), entry("ag", "TABLE", "ag_a", "CREATE TABLE ag.ag_a ();"), tail].join("");
    const { all, incomplete } = await split(text);
    expect(all.map(([code]) => code)).toEqual(["gt"]);
    expect(incomplete).toEqual(["ag"]);
  });

  it("is not waited for where it is interrupted", async () => {
    const stop = new AbortController();
    const never = new Readable({ read: () => undefined });
    never.push(head);
    const splitting = splitPlain(never, join(folder, "parts"), plan, {
      signal: stop.signal,
      trustsOwners: false,
    });
    stop.abort();
    await expect(splitting).rejects.toThrow("aborted");
  });

  it.each([
    ["cut off at its end", whole().slice(0, -100), "it is cut off"],
    ["cut off in a text", whole(entry("gt", "TABLE", "a", `SELECT '${tail}`)), "it is cut off"],
    ["cut off in rows", whole(entry("gt", "TABLE DATA", "a", `COPY gt.a FROM stdin;\n${tail}`)), "it is cut off"],
    ["that goes on behind its end", `${whole()}SELECT 1;\n`, "it is cut off"],
    ["in another encoding", whole().replace("'UTF8'", "'SJIS'"), "it is not in UTF8"],
    ["with other texts", whole().replace("strings = on", "strings = off"), "standard_conforming_strings"],
    ["with a line that never ends", whole(`-- ${"x".repeat(2_000_000)}`), "lines that no pg_dump writes"],
  ])("refuses a file %s", async (_, text, why) => {
    await expect(split(text, 65_536)).rejects.toThrow(why);
  });
});

describe("the comment before an entry", () => {
  it("is read in one go, whatever is in a name", () => {
    const name = `f(${Array.from({ length: 100 }, () => 'gt."; Type: A; Schema: ag; Owner: ; Tablespace: "').join(", ")}, gt."\u2028")`;
    const of = { type: "FUNCTION", schema: "gt", owner: "gtown" };
    expect(entryOf(`-- Name: ${name}; Type: FUNCTION; Schema: gt; Owner: gtown`)).toEqual({ name, ...of });
    expect(entryOf("-- Data for Name: a; Type: TABLE DATA; Schema: gt; Owner: gtown; Tablespace: x")).toEqual({
      ...of,
      ...{ name: "a", type: "TABLE DATA" },
    });
    expect(entryOf("-- Name: broken")).toBeNull();
    expect(entryOf("-- Name: a; Schema: gt; Owner: gtown")).toBeNull();
    expect(entryOf("-- Dumped from database version 16.14")).toBeUndefined();
  });
});

describe("a list of pg_dump's own format", () => {
  it("tells which services are in it, and what belongs to none", () => {
    const list = [
      "; Archive created at 2026-11-27 19:00:00 UTC",
      "5; 2615 16390 SCHEMA - gt platform",
      "215; 1259 16391 TABLE gt gt_a b gtown",
      "216; 1259 16392 TABLE ag ag_a agown",
      "217; 1259 16393 TABLE public left over somebody",
      "3466; 0 16391 TABLE DATA gt gt_a b gtown",
      "3467; 0 0 ACL - SCHEMA gt platform",
    ].join("\n");
    expect(inArchive(list, plan)).toEqual({
      whole: ["gt"],
      some: ["gt", "ag"],
      unverified: [
        "owners that are not the stack's: somebody",
        "tables of no service, which no restore takes: public.left over",
      ],
    });
  });
});
