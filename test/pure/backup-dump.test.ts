import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { walRange } from "../../agent/physical";
import { byRoot, comparedWithList, comparedWithRows, readData, linesAmong } from "../../agent/proof/dump-contents";
import { isOfVersion } from "../../agent/run";
import { isLost } from "../../agent/wal-receiver";

const table = (schema: string, name: string) => ({
  ...{ schema, name, owner: `${schema}own`, quoted: `${schema}.${name}`, root: `${schema}.${name}` },
});

describe("a dump's list", () => {
  const list = [
    ";     Dump Version: 1.15-0",
    "6; 2615 16390 SCHEMA - gt platform",
    "215; 1259 16400 TABLE gt gt_raw gtown",
    "3456; 0 16400 TABLE DATA gt gt_raw gtown",
    "3457; 0 16403 TABLE DATA gt gt_with space gtown",
    "3458; 0 0 SEQUENCE SET gt gt_raw_id_seq gtown",
  ].join("\n");

  it("is the catalog's, names with spaces and line breaks too", () => {
    expect(comparedWithList(list, [table("gt", "gt_raw"), table("gt", "gt_with\nspace")])).toEqual([]);
  });

  it("has names that only look like the end of a line", () => {
    const odd = `3459; 0 16405 TABLE DATA gt gt_a\u2028b gtown`;
    expect(comparedWithList(odd, [table("gt", "gt_a\u2028b")])).toEqual([]);
  });

  it("that lacks a table, or has one more, is told", () => {
    expect(comparedWithList(list, [table("gt", "gt_raw"), table("lg", "lg_all")])).toEqual([
      "lg.lg_all is not in it",
      "it has gt gt_with space gtown, which was not there",
    ]);
  });
});

describe("the rows of a dump", () => {
  it("are counted table by table, whatever is in them and wherever the stream is cut", async () => {
    const row = fc.string({ unit: fc.constantFrom("a", "\\", ".", "\t", "C", "O", "P", "Y", " ", ";", "é") });
    // In COPY's text a backslash of the data is two: a row is never `\.`.
    const named = (n: number) =>
      ["gt.gt_raw", 'gt."gt_Raw"', 'gt."gt_a\nCOPY gt.gt_fake (a) FROM stdin;\n"', 'gt."gt ""( x"'][n] ?? "";
    const setval = (n: number) => `SELECT pg_catalog.setval('${named(n).replaceAll("'", "''")}', ${n}, ${n > 1});`;
    const tables = fc.array(
      fc.array(
        row.map((text) => text.replaceAll("\\", "\\\\")),
        { maxLength: 8 },
      ),
      { maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(tables, fc.integer({ min: 1, max: 9 }), async (contents, size) => {
        const script = contents
          .map((rows, n) =>
            [`COPY ${named(n)} (a, "b;") FROM stdin;`, ...rows, "\\.", "", "-- COPY of nothing; it's", setval(n)].join(
              "\n",
            ),
          )
          .join("\n");
        const bytes = Buffer.from(`SET x = 1;\n${script}\n`);
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
          bytes.subarray(n * size, (n + 1) * size),
        );
        const expected = contents.map((rows, n) => [named(n), rows.length] as const);
        const { rows, sequences } = await readData(Readable.from(chunks));
        expect([...rows]).toEqual(expected);
        expect(sequences).toEqual(
          Object.fromEntries(expected.map(([name], n) => [name, { last: `${n}`, isCalled: n > 1 }])),
        );
      }),
    );
  });

  it("that end in the middle are none", async () => {
    const script = Readable.from([Buffer.from("COPY gt.gt_raw (a) FROM stdin;\n1\n")]);
    await expect(readData(script)).rejects.toThrow("the rows of gt.gt_raw have no end");
  });
});

it("of partitions that are loaded by way of their root are the root's", async () => {
  const roots = new Map([
    ["gt.gt_h0", "gt.gt_h"],
    ["gt.gt_h1", "gt.gt_h"],
  ]);
  const counted = byRoot(
    new Map([
      ["gt.gt_h0", 2],
      ["gt.gt_h1", 1],
      ["gt.gt_own", 5],
    ]),
    roots,
  );
  const dumped = byRoot(
    new Map([
      ["gt.gt_h", 3],
      ["gt.gt_own", 5],
    ]),
    roots,
  );
  expect(comparedWithRows(dumped, counted)).toEqual([]);
  const text = ["CREATE ROLE a;\nALTER ROLE b SET x TO 'xx", "xx'\nCREATE ROLE b;x\nCREATE ROLE", " c;\nlast"];
  const wanted = ["CREATE ROLE a;", "CREATE ROLE b;", "CREATE ROLE c;", "last"];
  const found = await linesAmong(wanted, Readable.from(text.map((part) => Buffer.from(part))));
  // pg_dumpall ends with a line break.
  expect([...found]).toEqual(["CREATE ROLE a;", "CREATE ROLE c;"]);
});

it("a statement of thousands of lines is read line by line, in no time", async () => {
  const column = `"${"x;\n".repeat(30)}"`;
  const columns = Array.from({ length: 1600 }, () => column).join(", ");
  const script = Readable.from([Buffer.from(`COPY gt.gt_wide (${columns}) FROM stdin;\n1\n\\.\n`)]);
  expect([...(await readData(script)).rows]).toEqual([["gt.gt_wide", 1]]);
});

it("rows are a table's own: that two have each other's is told", () => {
  const counted = new Map([
    ["gt.gt_raw", 1],
    ["lg.lg_all", 2],
  ]);
  const dumped = new Map([
    ["gt.gt_raw", 2],
    ["lg.lg_all", 1],
  ]);
  expect(comparedWithRows(counted, counted)).toEqual([]);
  expect(comparedWithRows(dumped, counted)).toEqual([
    "gt.gt_raw has 2 rows in it, and 1 in its snapshot",
    "lg.lg_all has 1 rows in it, and 2 in its snapshot",
  ]);
  expect(comparedWithRows(new Map(), new Map([["gt.gt_raw", 0]]))).toEqual([
    "gt.gt_raw has no rows in it, and 0 in its snapshot",
  ]);
});

it("the WAL a base backup needs is what PostgreSQL's own manifest says", () => {
  const ranges = [{ Timeline: 2, "Start-LSN": "0/3000028", "End-LSN": "0/3000100" }];
  expect(walRange(JSON.stringify({ "WAL-Ranges": ranges }))).toEqual({
    timeline: 2,
    start: "0/3000028",
    stop: "0/3000100",
  });
  expect(() => walRange("{}")).toThrow("names no WAL");
});

it.each([
  ["ERROR:  requested WAL segment 000000010000000000000003 has already been removed", true],
  ['ERROR:  can no longer get changes from replication slot "pg16_backup"', true],
  ["ERROR:  requested starting point 0/36000000 on timeline 1 is not in this server's history", true],
  ["connection refused", false],
  ['replication slot "pg16_backup" is active for PID 7', false],
])("%s: a new stretch of WAL begins: %s", (why, lost) => {
  expect(isLost(why)).toBe(lost);
});

it.each([
  ["pg_dump (PostgreSQL) 16.14", "16.14", true],
  ["pg_basebackup (PostgreSQL) 16.14 (Debian 16.14-1.pgdg12+1)", "16.14", true],
  ["pg_dump (PostgreSQL) 16.14", "16.1", false],
  ["pg_dump (PostgreSQL) 16.1", "16.14", false],
  ["pg_dump (PostgreSQL) 17.14", "16.14", false],
])("%s is of a server of %s: %s", (tool, version, same) => {
  expect(isOfVersion(tool, version)).toBe(same);
});
