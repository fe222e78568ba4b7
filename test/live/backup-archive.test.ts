import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LogicalContents, Manifest } from "../../agent/manifest";
import { differences, filesOf, readContents, Store } from "../../agent/store";
import { flawsOf } from "../../agent/proof/wal-flaws";
import { receivedAt, WalArchive, stretchOf } from "../../agent/wal-archive";
import { segmentBytes } from "../../agent/wal-position";

// Files as the tools leave them, in a folder of the test's own.
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-backup-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function backup(
  store: Store,
  startedAt: string,
  kind: "logical" | "physical" = "logical",
  start = "0/0",
  logical?: LogicalContents,
): Promise<Manifest> {
  const begun = await store.begin(kind, new Date(startedAt));
  writeFileSync(join(begun.folder, "appdb.dump"), `dump of ${startedAt}`);
  const manifest: Manifest = {
    ...{ format: 1, id: begun.id, kind, classes: ["weekly"], startedAt, finishedAt: startedAt },
    seconds: { tools: 1, proof: 1 },
    server: { host: "pg16-primary", version: "16.14", systemIdentifier: "7", timeline: 1 },
    tool: "pg_dump (PostgreSQL) 16.14",
    wal: { timeline: 1, start, stop: start },
    files: await filesOf(begun.folder),
    ...{ registrySha256: "", accessSha256: "" },
    ...(logical && { logical }),
  };
  await store.finish(begun.folder, manifest);
  return manifest;
}

describe("the store", () => {
  it("has a backup only when it is finished, and forgets what a killed run has left", async () => {
    const store = new Store(folder);
    await store.prepare();
    const killed = await store.begin("logical", new Date("2026-11-26T17:00:00Z"));
    writeFileSync(join(killed.folder, "appdb.dump"), "half");
    const { id } = await backup(store, "2026-11-27T17:00:00.000Z");
    expect(store.list()).toMatchObject({ backups: [{ id, pinned: false }], broken: [] });
    expect(await new Store(folder).prepare()).toEqual(["20261126T170000Z-logical.partial"]);
    expect(readdirSync(store.root)).toEqual([id]);
  });

  it("has of a dump how much there is of each service, and what that is where somebody asks", async () => {
    const store = new Store(folder);
    await store.prepare();
    const logical: LogicalContents = {
      dumps: [{ file: "appdb.dump", service: null }],
      rowKey: "0001020304050607",
      objects: { gt: { functions: 0, types: 0, views: 0 } },
      tables: { "gt.gt_raw": { rows: 3, hash: "", columns: "", constraints: 0, indexes: 0, triggers: 0 } },
      sequences: { "gt.gt_s": { last: "1", isCalled: true } },
      ...{ roles: [], services: ["gt"], leftOut: [] },
    };
    await backup(store, "2026-11-26T17:00:00.000Z", "logical", "0/0", logical);
    await backup(store, "2026-11-27T17:00:00.000Z", "physical");
    const [dump = never(), base = never()] = store.list().backups;
    const { dumps, roles, services, leftOut } = logical;
    const counts = { gt: { tables: 1, rows: 3, sequences: 1 } };
    expect(dump.manifest.logical).toEqual({ dumps, roles, services, leftOut, counts });
    expect(readContents(dump)).toEqual(logical);
    expect(() => readContents(base)).toThrow(`${base.id} is no dump`);
  });

  it("reads a manifest once, and again where anything was done to it", async () => {
    const store = new Store(folder);
    await store.prepare();
    const { id } = await backup(store, "2026-11-26T17:00:00.000Z");
    const first = store.list().backups[0]?.manifest;
    expect(store.list().backups[0]?.manifest).toBe(first);
    const file = join(store.root, id, "manifest.json");
    const { atime, mtime } = statSync(file);
    writeFileSync(file, readFileSync(file, "utf8").replace("16.14", "16.15"));
    utimesSync(file, atime, mtime);
    expect(store.list().backups[0]?.manifest).toEqual({
      ...first,
      tool: "pg_dump (PostgreSQL) 16.14",
      server: { ...first?.server, version: "16.15" },
    });
  });

  it("has a name of its own for each of two that are begun in one second", async () => {
    const store = new Store(folder);
    await store.prepare();
    const { id } = await backup(store, "2026-11-27T17:00:00.100Z");
    const next = await store.begin("logical", new Date("2026-11-27T17:00:00.900Z"));
    expect([id, next.id]).toEqual(["20261127T170000Z-logical", "20261127T170001Z-logical"]);
    expect(next.startedAt).toEqual(new Date("2026-11-27T17:00:01.900Z"));
  });

  it("sees a byte that was changed, a file that is shorter or gone, and a folder that is no backup", async () => {
    const store = new Store(folder);
    await store.prepare();
    for (const day of ["26", "27", "28"]) await backup(store, `2026-11-${day}T17:00:00.000Z`);
    const [flipped, shorter, gone] = store.list().backups;
    const file = (of: typeof flipped) => join(of?.folder ?? "", "appdb.dump");
    const bytes = readFileSync(file(flipped));
    bytes[3] = (bytes[3] ?? 0) ^ 1;
    writeFileSync(file(flipped), bytes);
    truncateSync(file(shorter), 5);
    rmSync(file(gone));
    const told = await Promise.all([flipped, shorter, gone].flatMap((one) => (one ? [differences(one)] : [])));
    expect(told).toEqual([["appdb.dump was changed"], ["appdb.dump has 5 bytes of 32"], ["appdb.dump is missing"]]);
    mkdirSync(join(store.root, "by-hand"));
    // A size is seen at once, a byte when somebody has read it; until it is what it was, it counts for nothing.
    const ids = () => store.list().backups.map(({ id }) => id);
    expect(ids()).toEqual(["20261126T170000Z-logical"]);
    if (flipped) store.mark(flipped, await differences(flipped));
    expect(ids()).toEqual([]);
    expect(store.list().broken).toEqual([
      { id: "by-hand", why: expect.stringContaining("ENOENT") as unknown },
      { id: "20261126T170000Z-logical", why: "appdb.dump was changed" },
      { id: "20261127T170000Z-logical", why: "appdb.dump has 5 bytes of 32" },
      { id: "20261128T170000Z-logical", why: "appdb.dump is missing" },
    ]);
    bytes[3] ^= 1;
    writeFileSync(file(flipped), bytes);
    if (flipped) store.mark(flipped, await differences(flipped));
    expect(ids()).toEqual(["20261126T170000Z-logical"]);
  });
});

function never(): never {
  throw new Error("there is none");
}

describe("the archive of WAL", () => {
  const name = (number: number) =>
    `00000001${[number >> 8, number & 255].map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
  const files = (at: string) => readdirSync(at).filter((entry) => entry !== "system-identifier");
  /** A stretch that was begun then. */
  const stretchAt = (archive: WalArchive, begunAt: string, systemIdentifier = "7") => {
    const at = join(archive.root, begunAt);
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, "system-identifier"), systemIdentifier);
    return at;
  };
  const segment = (at: string, number: number) =>
    writeFileSync(join(at, name(number)), Buffer.alloc(segmentBytes, number));

  it("compresses what is complete, and finds a segment that is missing, shorter or changed", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current("7");
    for (const number of [1, 2, 3, 5]) segment(at, number);
    writeFileSync(join(at, `${name(6)}.partial`), "growing");
    expect(await archive.compress()).toBe(4);
    expect(files(at).filter((entry) => !entry.endsWith(".gz"))).toEqual([`${name(6)}.partial`]);
    const [stretch] = archive.stretches();
    if (stretch === undefined) throw new Error("no stretch");
    expect(await flawsOf(stretch)).toEqual([`${name(4)} is missing`]);
    const gz = join(at, `${name(2)}.gz`);
    const bytes = readFileSync(gz);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
    writeFileSync(gz, bytes);
    truncateSync(join(at, `${name(3)}.gz`), 100);
    const flaws = await flawsOf(stretch);
    expect(flaws.map((flaw) => flaw.split(":")[0])).toEqual([name(2), name(3), `${name(4)} is missing`]);
  });

  it("names all that is missing, and does not miss what is compressed while somebody looks", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current("7");
    for (const number of [254, 257]) segment(at, number);
    const [stretch] = archive.stretches();
    if (stretch === undefined) throw new Error("no stretch");
    await archive.compress();
    expect(await flawsOf(stretch)).toEqual([`${name(255)} to 000000010000000100000000 are missing`]);
  });

  it("knows when a segment came in, whenever it was compressed", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current("7");
    segment(at, 1);
    const cameIn = new Date("2026-11-26T17:00:00Z");
    utimesSync(join(at, name(1)), cameIn, cameIn);
    await archive.compress();
    const received = () => archive.stretches().map(receivedAt);
    expect(received()).toEqual([cameIn]);
    // Nothing leads over a hole.
    segment(at, 3);
    expect(received()).toEqual([cameIn]);
    // While the clock was ahead: that what follows came in later is no later time.
    const [ahead, later] = [new Date("2099-01-01T00:00:00Z"), new Date("2026-11-26T18:00:00Z")];
    segment(at, 2);
    for (const [number, time] of [
      [2, ahead],
      [3, later],
    ] as const)
      utimesSync(join(at, name(number)), time, time);
    expect(received()).toEqual([later]);
  });

  it("goes on after a full disk: a segment that did not get its size is begun again, one that grows is not touched", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current("7");
    writeFileSync(join(at, `${name(6)}.partial`), Buffer.alloc(segmentBytes));
    writeFileSync(join(at, `${name(7)}.partial`), "half");
    writeFileSync(join(at, `${name(8)}.partial`), "");
    await archive.current("7");
    expect(files(at)).toEqual([`${name(6)}.partial`, `${name(8)}.partial`]);
  });

  it("grows in the stretch that was begun last, whatever the clock said", async () => {
    const archive = new WalArchive(folder);
    const ahead = stretchAt(archive, "20990101T000000000Z");
    const begun = await archive.begin("7");
    expect((await archive.current("7")).folder).toBe(begun.folder);
    expect(archive.stretches().map(({ folder: at }) => at)).toEqual([ahead, begun.folder]);
  });

  it("has a base by its place in the log, whatever the clock said; one that nothing follows has none", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const lost = stretchAt(archive, "20261101T000000000Z");
    const grows = stretchAt(archive, "20990101T000000000Z");
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    const stretch = () => store.list().backups.map((base) => stretchOf(base, archive.stretches())?.folder);
    expect(stretch()).toEqual([undefined]);
    segment(lost, 2);
    expect(stretch()).toEqual([lost]);
    const later = `00000002${name(7).slice(8)}`;
    writeFileSync(join(grows, `${later}.partial`), "");
    expect(stretch()).toEqual([lost]); // of another timeline: what was promoted may never have had it
    rmSync(join(grows, `${later}.partial`));
    writeFileSync(join(grows, `${name(7)}.partial`), "");
    expect(stretch()).toEqual([grows]);
  });

  it("has a base of its own timeline, also where an older one came after it: the primary was brought back", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const on = (at: string, timeline: number, number: number) => {
      writeFileSync(join(at, `0000000${timeline}${name(number).slice(8)}.partial`), "");
    };
    const restored = stretchAt(archive, "20261102T000000000Z");
    const broughtBack = stretchAt(archive, "20261103T000000000Z");
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    const [base] = store.list().backups;
    if (base === undefined) throw new Error("no base");
    const ofTimeline = (timeline: number) => {
      const wal = { ...base.manifest.wal, timeline };
      return stretchOf({ ...base, manifest: { ...base.manifest, wal } }, archive.stretches())?.folder;
    };
    on(restored, 2, 8);
    on(broughtBack, 1, 8);
    expect([1, 2].map(ofTimeline)).toEqual([broughtBack, restored]);
    // Promoted within that segment, and within one before that is all there is.
    on(broughtBack, 3, 8);
    expect([1, 2, 3].map(ofTimeline)).toEqual([broughtBack, restored, broughtBack]);
  });

  it("of a history the primary was brought back to has none of the bases there were, wherever in the log it begins", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const left = await archive.current("7");
    for (const number of [7, 8]) segment(left.folder, number);
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    const [base] = store.list().backups;
    await archive.beginApart([base?.id ?? never()]);
    const broughtBack = archive.stretches().at(-1) ?? never();
    expect(broughtBack.folder).not.toBe(left.folder);
    // What comes in has not reached the base's place yet.
    writeFileSync(join(broughtBack.folder, `${name(7)}.partial`), "");
    expect(stretchOf(base ?? never(), archive.stretches())?.folder).toBe(left.folder);
    await backup(store, "2026-11-13T00:00:00.000Z", "physical", "0/8000028");
    expect(stretchOf(store.list().backups[1] ?? never(), archive.stretches())?.folder).toBe(broughtBack.folder);
  });

  it("of another cluster is a stretch of its own, and takes nothing from the bases before", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const before = await archive.current("7");
    for (const number of [7, 8, 9]) segment(before.folder, number);
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    const after = await archive.current("8");
    expect(after.folder).not.toBe(before.folder);
    segment(after.folder, 1);
    expect(stretchOf(store.list().backups[0] ?? never(), archive.stretches())?.folder).toBe(before.folder);
    expect(archive.prune(store.list().backups)).toEqual([expect.stringContaining(`/${name(7)}.gz`)]);
    expect(files(after.folder)).toEqual([name(1)]);
  });

  it("keeps what the oldest base of each stretch begins with, and no more; of a stretch without a base only the one that grows", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const lost = stretchAt(archive, "20261101T000000000Z");
    const grows = stretchAt(archive, "20261110T000000000Z");
    for (const number of [1, 2]) segment(lost, number);
    writeFileSync(join(lost, `${name(3)}.partial`), "");
    for (const number of [7, 8, 9]) segment(grows, number);
    const names = [`${name(1)}.gz`, `${name(2)}.gz`, `${name(3)}.partial`, "system-identifier"];
    expect(archive.prune([]).toSorted()).toEqual(names.map((entry) => `20261101T000000000Z/${entry}`));
    expect(existsSync(lost)).toBe(false);
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    await backup(store, "2026-11-13T00:00:00.000Z", "physical", "0/9000028");
    const { backups } = store.list();
    expect(archive.prune(backups)).toEqual([`20261110T000000000Z/${name(7)}.gz`]);
    expect(archive.prune(backups.slice(1))).toEqual([`20261110T000000000Z/${name(8)}.gz`]);
  });
});
