import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readBaseManifest } from "../../agent/base-manifest";
import { sourceOf } from "../../agent/physical";
import type { FoundServer } from "../../agent/server";
import {
  byRoot,
  comparedContents,
  comparedSequences,
  comparedWithList,
  linesAmong,
  readData,
} from "../../agent/proof/dump-contents";
import { HalfSipHash } from "../../agent/proof/half-sip-hash";
import { newRowKey, RowSum, type TableContents } from "../../agent/proof/row-sum";
import { isOfVersion } from "../../agent/run";
import { isLost } from "../../agent/wal-receiver";

const key = "0001020304050607";

/** What a table with these rows has. */
function having(...rows: readonly string[]): TableContents {
  const sum = new RowSum(key);
  for (const row of rows) sum.addText(Buffer.from(`${row}\n`));
  return sum.contents();
}

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
        const expected = contents.map((rows, n) => [named(n), having(...rows)] as const);
        const { contents: found, sequences } = await readData(Readable.from(chunks), key);
        expect([...found]).toEqual(expected);
        expect(sequences).toEqual(
          Object.fromEntries(expected.map(([name], n) => [name, { last: `${n}`, isCalled: n > 1 }])),
        );
      }),
    );
  });

  it.each([
    [
      "sc.sc_none is set twice",
      "SELECT pg_catalog.setval('sc.sc_none', 1, true);\nSELECT pg_catalog.setval('sc.sc_none', 2, true);",
    ],
    ["it sets a sequence to what is no number: SELECT", "SELECT pg_catalog.setval('sc.sc_none', (SELECT 1), true);"],
  ])("are none where %s", async (why, script) => {
    await expect(readData(Readable.from([Buffer.from(`${script}\n`)]), key)).rejects.toThrow(why);
  });

  it("that end in the middle are none", async () => {
    const script = Readable.from([Buffer.from("COPY gt.gt_raw (a) FROM stdin;\n1\n")]);
    await expect(readData(script, key)).rejects.toThrow("the rows of gt.gt_raw have no end");
  });
});

it("of sequences are of those that were there, and of all", () => {
  expect(comparedSequences(["gt.gt_s"], ["gt.gt_s"])).toEqual([]);
  expect(comparedSequences(["ag.ag_s"], ["gt.gt_s"])).toEqual([
    "sequence gt.gt_s is not in it",
    "it has sequence ag.ag_s, which was not there",
  ]);
});

it("of partitions that are loaded by way of their root are the root's, whatever their order", () => {
  const roots = new Map([
    ["gt.gt_h0", "gt.gt_h"],
    ["gt.gt_h1", "gt.gt_h"],
  ]);
  const read = new Map([
    ["gt.gt_h0", having("1\ta", "2\tb")],
    ["gt.gt_h1", having("3\tc")],
    ["gt.gt_own", having("x")],
  ]);
  const dumped = new Map([
    ["gt.gt_h", having("3\tc", "2\tb", "1\ta")],
    ["gt.gt_own", having("x")],
  ]);
  expect(comparedContents(byRoot(dumped, roots), byRoot(read, roots))).toEqual([]);
});

describe("the sum of a table's rows", () => {
  // As the authors' own code computes it (github.com/veorq/SipHash, halfsiphash.c, 64 bits), of the bytes 0, 1, 2, … under this key.
  it.each([
    [0, "218d1f59b9b83cc8"],
    [1, "be552412f8387315"],
    [3, "ce0f1a45f7060679"],
    [4, "d5e78a175be52ea1"],
    [7, "ff202728b07bc684"],
    [8, "edfee820bce4858c"],
    [19, "f910e48020ab363c"],
  ])("is of HalfSipHash-2-4: of %i bytes", (length, expected) => {
    const bytes = Uint8Array.from({ length }, (_, n) => n);
    for (const cut of [0, 1, 2, 5, length]) {
      const hash = new HalfSipHash(key);
      hash.add(bytes, 0, Math.min(cut, length));
      hash.add(bytes, Math.min(cut, length), length);
      const words = Buffer.alloc(8);
      hash.end().forEach((word, n) => words.writeUInt32LE(word, 4 * n));
      expect(words.toString("hex")).toBe(expected);
    }
  });

  it("is another under another key, which is another for each dump", () => {
    const sums = [newRowKey(), newRowKey()].map((one) => {
      const sum = new RowSum(one);
      sum.addText(Buffer.from("1\ta\n"));
      return sum.contents().hash;
    });
    expect(new Set(sums).size).toBe(2);
  });

  it("does not depend on their order, nor on where the stream is cut", () => {
    const rows = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\t", "é") }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 7 }), (some, size) => {
        const bytes = Buffer.from(
          some
            .toReversed()
            .map((row) => `${row}\n`)
            .join(""),
        );
        const cut = new RowSum(key);
        for (let from = 0; from < bytes.length; from += size) cut.addText(bytes.subarray(from, from + size));
        expect(cut.contents()).toEqual(having(...some));
      }),
    );
  });

  it("is another where a value is another, goes to another row, or is there twice", () => {
    const sums = [
      having("1\ta", "2\tb"),
      having("1\tb", "2\ta"),
      having("1\ta", "2\tc"),
      having("1\ta", "1\ta"),
      having("2\tb", "2\tb"),
      having("1\t", "2\tab"),
      having("1\\ta", "2\tb"),
    ];
    expect(new Set(sums.map(({ hash }) => hash)).size).toBe(sums.length);
    const many = Array.from({ length: 100_000 }, (_, n) => having(`${n}\tx`).hash);
    expect(new Set(many).size).toBe(many.length);
  });
});

it("of a text those lines that are asked for are found, however long others are", async () => {
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
  expect([...(await readData(script, key)).contents]).toEqual([["gt.gt_wide", having("1")]]);
});

it("rows are a table's own: that two have each other's is told, and that values are others", () => {
  const read = new Map([
    ["gt.gt_raw", having("1")],
    ["lg.lg_all", having("1", "2")],
    ["lg.lg_same", having("1")],
  ]);
  const dumped = new Map([
    ["gt.gt_raw", having("1", "2")],
    ["lg.lg_all", having("1")],
    ["lg.lg_same", having("2")],
  ]);
  expect(comparedContents(read, read)).toEqual([]);
  expect(comparedContents(dumped, read)).toEqual([
    "gt.gt_raw has 2 rows in it, and 1 in its snapshot",
    "lg.lg_all has 1 rows in it, and 2 in its snapshot",
    "lg.lg_same has other values in it than in its snapshot",
  ]);
  expect(comparedContents(new Map(), new Map([["gt.gt_raw", having()]]))).toEqual([
    "gt.gt_raw has no rows in it, and 0 in its snapshot",
  ]);
});

it("of PostgreSQL's manifest of a base backup its files' bytes and its WAL are read, a line at a time", async () => {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-manifest-"));
  const file = join(folder, "backup_manifest");
  const rest = '"Last-Modified": "2026-11-27 17:00:00 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "ab"';
  const files = [`{ "Path": "PG_VERSION", "Size": 3, ${rest} },`, `{ "Encoded-Path": "6261", "Size": 8192, ${rest} }`];
  const write = (...ranges: readonly string[]) => {
    const end = ["],", '"WAL-Ranges": [', ...ranges, "],", '"Manifest-Checksum": "cd"}', ""];
    writeFileSync(file, ['{ "PostgreSQL-Backup-Manifest-Version": 1,', '"Files": [', ...files, ...end].join("\n"));
  };
  try {
    write(
      '{ "Timeline": 2, "Start-LSN": "0/3000028", "End-LSN": "0/3000060" },',
      '{ "Timeline": 3, "Start-LSN": "0/3000060", "End-LSN": "0/3000100" }',
    );
    expect(await readBaseManifest(file)).toEqual({
      bytes: 8195,
      wal: { timeline: 2, start: "0/3000028", stop: "0/3000100" },
    });
    write();
    await expect(readBaseManifest(file)).rejects.toThrow("names no WAL");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.each([
  ["ERROR:  requested WAL segment 000000010000000000000003 has already been removed", true],
  ['ERROR:  can no longer get changes from replication slot "pg16_backup"', true],
  ["ERROR:  requested starting point 0/36000000 on timeline 1 is not in this server's history", true],
  // Data of before a restore are the primary's again.
  ["pg_receivewal: error: starting timeline 3 is not present in the server", true],
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

describe("the server a base is copied from", () => {
  const primary: FoundServer = {
    ...{ host: "pg16-primary", role: "primary", version: "16.14", systemIdentifier: "7", timeline: 2 },
    ...{ lagSeconds: null, databaseBytes: 0, clockAheadSeconds: 0 },
  };
  const standby: FoundServer = { ...primary, host: "pg16-replica", role: "standby", lagSeconds: 2 };

  it("is the standby where it is healthy", () => {
    expect(sourceOf([primary, standby], primary)).toBe(standby);
  });

  it.each<[string, Partial<FoundServer>]>([
    ["is far behind", { lagSeconds: 300 }],
    ["does not stream", { lagSeconds: null }],
    ["is on another timeline", { timeline: 1 }],
    ["is another cluster's", { systemIdentifier: "8" }],
  ])("is the primary where the standby %s", (_, how) => {
    expect(sourceOf([primary, { ...standby, ...how }], primary)).toBe(primary);
  });
});
