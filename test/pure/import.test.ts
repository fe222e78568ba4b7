import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { recognize } from "../../agent/import/format";
import { readLoaded, writeLoaded, type Loaded } from "../../agent/import/loaded";
import { filesOf } from "../../agent/store";

// What comes out of a container in which somebody's file has run.
let from: string;
let to: string;
beforeEach(
  () =>
    ([from, to] = ["from", "to"].map((name) => mkdtempSync(join(tmpdir(), `centraldb-${name}-`))) as [string, string]),
);
afterEach(() => [from, to].forEach((folder) => rmSync(folder, { recursive: true })));

async function loaded(): Promise<Loaded> {
  writeFileSync(join(from, "appdb.dump"), Buffer.alloc(200_000, "rows\n"));
  writeFileSync(join(from, "appdb-gt.dump"), "");
  return {
    ...{
      bytes: 12,
      sha256: "a".repeat(64),
      unverified: ["its rows"],
      version: "16.14",
      tool: "pg_dump (PostgreSQL) 16.14",
    },
    files: await filesOf(from),
    logical: {
      dumps: [
        { file: "appdb.dump", service: null },
        { file: "appdb-gt.dump", service: "gt" },
      ],
      rowKey: "0001020304050607",
      objects: { gt: { functions: 1, types: 0, views: 0 } },
      tables: { "gt.gt_a": { rows: 1, hash: "b", columns: "c", constraints: 0, indexes: 0, triggers: 0 } },
      sequences: { "gt.gt_s": { last: "1", isCalled: true } },
      ...{ roles: [], services: ["gt"], leftOut: [{ service: "ag", why: "it is not in the file" }] },
    },
  };
}

async function written(contents: Loaded): Promise<Buffer> {
  const stream = new PassThrough({ highWaterMark: 1 << 24 });
  await writeLoaded(contents, from, stream);
  stream.end();
  return Buffer.concat((await stream.toArray()) as Buffer[]);
}

/** In pieces that end anywhere. */
const inPieces = (bytes: Buffer, size: number) =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
    { objectMode: false },
  );

const read = (bytes: Buffer, size = 1000) =>
  readLoaded(inPieces(bytes, size), to, ["gt", "ag"], () => Promise.resolve());

describe("what was loaded", () => {
  it.each([1 << 20, 4096, 7])("comes in as it was written, in pieces of %d bytes", async (size) => {
    const contents = await loaded();
    expect(await read(await written(contents), size)).toEqual(contents);
    expect(readdirSync(to).sort()).toEqual(["appdb-gt.dump", "appdb.dump"]);
    expect(readFileSync(join(to, "appdb.dump"))).toEqual(readFileSync(join(from, "appdb.dump")));
  });

  it("is refused where it breaks off, goes on, or has come in changed", async () => {
    const bytes = await written(await loaded());
    await expect(read(bytes.subarray(0, -1))).rejects.toThrow("breaks off");
    rmSync(join(to, "appdb.dump"), { force: true });
    await expect(read(bytes.subarray(0, 50))).rejects.toThrow("breaks off");
    await expect(read(Buffer.alloc(0))).rejects.toThrow("breaks off");
    const changed = Buffer.from(bytes);
    changed.writeUInt8(0, bytes.length - 1);
    rmSync(join(to, "appdb-gt.dump"), { force: true });
    await expect(read(changed)).rejects.toThrow("appdb.dump has come in changed");
    [from, to].forEach((folder) => readdirSync(folder).forEach((name) => rmSync(join(folder, name))));
    await expect(read(Buffer.concat([await written(await loaded()), Buffer.from("x")]))).rejects.toThrow("goes on");
  });

  it.each<[string, (contents: Loaded) => unknown]>([
    ["no JSON", () => "x"],
    [
      "a file in another folder",
      (one) => ({ ...one, files: [{ ...one.files[0], name: "../appdb.dump" }, one.files[1]] }),
    ],
    ["a manifest", (one) => ({ ...one, files: [...one.files, { ...one.files[0], name: "manifest.json" }] })],
    ["a file twice", (one) => ({ ...one, files: [...one.files, one.files[0]] })],
    ["a file no dump has", (one) => ({ ...one, files: [...one.files, { ...one.files[0], name: "other.dump" }] })],
    ["a size below nothing", (one) => ({ ...one, files: one.files.map((file) => ({ ...file, bytes: -1 })) })],
    ["a service nobody knows", (one) => ({ ...one, logical: { ...one.logical, services: ["zz"] } })],
    [
      "rows that are no number",
      (one) => ({ ...one, logical: { ...one.logical, tables: { "gt.gt_a": { rows: "1" } } } }),
    ],
    ["nothing of the dump", (one) => ({ ...one, logical: undefined })],
    ["a service twice", (one) => ({ ...one, logical: { ...one.logical, services: ["gt", "gt"] } })],
    [
      "a service that is left out and in it",
      (one) => ({ ...one, logical: { ...one.logical, services: ["gt", "ag"] } }),
    ],
    ["a role", (one) => ({ ...one, logical: { ...one.logical, roles: ["gtown"] } })],
    ["a version that is a novel", (one) => ({ ...one, version: "16".repeat(1_000) })],
    ["more than there is that nobody knows", (one) => ({ ...one, unverified: Array.from({ length: 11 }, () => "a") })],
    [
      "more files than services",
      (one) => {
        const more = ["a", "b"].map((name) => `appdb-${name}.dump`);
        return {
          ...one,
          files: [...one.files, ...more.map((name) => ({ name, bytes: 0, sha256: one.sha256 }))],
          logical: { ...one.logical, dumps: [...one.logical.dumps, ...more.map((file) => ({ file, service: "gt" }))] },
        };
      },
    ],
    ["something beside what it has", (one) => ({ ...one, junk: "a" })],
    ["something beside what is in it", (one) => ({ ...one, logical: { ...one.logical, junk: "a" } })],
    ["what nobody knows as a word", (one) => ({ ...one, unverified: "all" })],
  ])("is refused with %s, before anything is written", async (_, change) => {
    const header = change(await loaded());
    const bytes = Buffer.from(`${typeof header === "string" ? header : JSON.stringify(header)}\n`);
    await expect(read(bytes)).rejects.toThrow("what was loaded");
    expect(readdirSync(to)).toEqual([]);
  });

  it("is not taken where there is no room", async () => {
    const bytes = await written(await loaded());
    const full = () => Promise.reject(new Error("no room"));
    await expect(readLoaded(inPieces(bytes, 1000), to, ["gt", "ag"], full)).rejects.toThrow("no room");
    expect(readdirSync(to)).toEqual([]);
  });
});

describe("a file", () => {
  const sql = "--\n-- PostgreSQL database dump\n--\n";
  const custom = Buffer.alloc(1024, "PGDMP\x01");
  const tar = Buffer.alloc(1024);
  tar.write("ustar", 257);
  it.each<[string, Buffer, string]>([
    ["SQL", Buffer.from(sql), "plain"],
    ["SQL that is compressed", gzipSync(sql), "plain"],
    ["pg_dump's own format", custom, "custom"],
    ["a tar", tar, "tar"],
    ["a tar that is compressed", gzipSync(tar), "tar"],
  ])("is %s, and is read whole", async (_, bytes, format) => {
    const found = await recognize(inPieces(bytes, 5));
    expect(found.format).toBe(format);
    const whole = Buffer.concat((await found.contents.toArray()) as Buffer[]);
    expect(whole).toEqual({ plain: Buffer.from(sql), custom, tar }[format]);
  });

  it.each([
    ["of all databases", Buffer.from("-- PostgreSQL database cluster dump\n"), "neither"],
    ["with nothing in it", Buffer.alloc(0), "neither"],
    ["half compressed", gzipSync(Buffer.alloc(100_000, sql)).subarray(0, 100), "unexpected end of file"],
  ])("%s is refused", async (_, bytes, why) => {
    const reading = recognize(inPieces(bytes, 50)).then(({ contents }) => contents.toArray());
    await expect(reading).rejects.toThrow(why);
  });
});
