import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Manifest } from "../../agent/manifest";
import { differences, filesOf, Store } from "../../agent/store";
import { flawsOf, receivedAt, segmentBytes, WalArchive, stretchOf } from "../../agent/wal-archive";

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
    expect(store.list().broken.map(({ id }) => id)).toEqual(["by-hand"]);
  });
});

describe("the archive of WAL", () => {
  const name = (number: number) =>
    `00000001${[number >> 8, number & 255].map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("")}`;
  const segment = (at: string, number: number) =>
    writeFileSync(join(at, name(number)), Buffer.alloc(segmentBytes, number));

  it("compresses what is complete, and finds a segment that is missing, shorter or changed", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current();
    for (const number of [1, 2, 3, 5]) segment(at, number);
    writeFileSync(join(at, `${name(6)}.partial`), "growing");
    expect(await archive.compress()).toBe(4);
    expect(readdirSync(at).filter((entry) => !entry.endsWith(".gz"))).toEqual([`${name(6)}.partial`]);
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
    const { folder: at } = await archive.current();
    for (const number of [254, 257]) segment(at, number);
    const [stretch] = archive.stretches();
    if (stretch === undefined) throw new Error("no stretch");
    await archive.compress();
    expect(await flawsOf(stretch)).toEqual([`${name(255)} to 000000010000000100000000 are missing`]);
  });

  it("knows when a segment came in, whenever it was compressed", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current();
    segment(at, 1);
    const cameIn = new Date("2026-11-26T17:00:00Z");
    utimesSync(join(at, name(1)), cameIn, cameIn);
    await archive.compress();
    expect(receivedAt(at)).toEqual(cameIn);
  });

  it("goes on after a full disk: a segment that did not get its size is begun again, one that grows is not touched", async () => {
    const archive = new WalArchive(folder);
    const { folder: at } = await archive.current();
    writeFileSync(join(at, `${name(6)}.partial`), Buffer.alloc(segmentBytes));
    writeFileSync(join(at, `${name(7)}.partial`), "half");
    writeFileSync(join(at, `${name(8)}.partial`), "");
    await archive.current();
    expect(readdirSync(at)).toEqual([`${name(6)}.partial`, `${name(8)}.partial`]);
  });

  it("grows in the stretch that was begun last, whatever the clock said", async () => {
    const archive = new WalArchive(folder);
    const ahead = join(archive.root, "20990101T000000000Z");
    mkdirSync(ahead, { recursive: true });
    const begun = await archive.begin();
    expect((await archive.current()).folder).toBe(begun.folder);
    expect(archive.stretches().map(({ folder: at }) => at)).toEqual([ahead, begun.folder]);
  });

  it("has a base by its place in the log, whatever the clock said; one that nothing follows has none", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const [lost, grows] = ["20261101T000000000Z", "20990101T000000000Z"].map((at) => join(archive.root, at));
    for (const at of [lost ?? "", grows ?? ""]) mkdirSync(at, { recursive: true });
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    const stretch = () => store.list().backups.map((base) => stretchOf(base, archive.stretches())?.folder);
    expect(stretch()).toEqual([undefined]);
    segment(lost ?? "", 2);
    expect(stretch()).toEqual([lost]);
    writeFileSync(join(grows ?? "", `${name(7)}.partial`), "");
    expect(stretch()).toEqual([grows]);
  });

  it("keeps what the oldest base of each stretch begins with, and no more; of a stretch without a base only the one that grows", async () => {
    const store = new Store(folder);
    await store.prepare();
    const archive = new WalArchive(folder);
    const lost = join(archive.root, "20261101T000000000Z");
    const grows = join(archive.root, "20261110T000000000Z");
    for (const at of [lost, grows]) mkdirSync(at, { recursive: true });
    for (const number of [1, 2]) segment(lost, number);
    for (const number of [7, 8, 9]) segment(grows, number);
    expect(archive.prune([])).toEqual([1, 2].map((number) => `20261101T000000000Z/${name(number)}.gz`));
    expect(existsSync(lost)).toBe(false);
    await backup(store, "2026-11-12T00:00:00.000Z", "physical", "0/8000028");
    await backup(store, "2026-11-13T00:00:00.000Z", "physical", "0/9000028");
    const { backups } = store.list();
    expect(archive.prune(backups)).toEqual([`20261110T000000000Z/${name(7)}.gz`]);
    // A pinned one has its WAL in itself.
    const [first] = backups;
    if (first) store.pin(first, true);
    expect(archive.prune(store.list().backups)).toEqual([`20261110T000000000Z/${name(8)}.gz`]);
  });
});
