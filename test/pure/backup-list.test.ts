import { Gauge, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { contentLines } from "../../agent/contents";
import { briefly, type Drill } from "../../agent/drills/results";
import type { Manifest } from "../../agent/manifest";
import { setBackupMetrics } from "../../agent/metrics";
import { firstOf } from "../../agent/failure";
import type { Stored } from "../../agent/store";
import { summaryOf } from "../../agent/summary";
import { parseBackupList, type BackupList } from "../../ops/backup/list";

const table = (rows: number) => ({
  rows,
  hash: "0123456789abcdef",
  columns: "",
  constraints: 1,
  indexes: 1,
  triggers: 0,
});
const logical: NonNullable<Manifest["logical"]> = {
  dumps: [{ file: "appdb.dump", service: null }],
  rowKey: "0001020304050607",
  objects: {},
  tables: { "platform.password": table(9), "gt.gt_b": table(2), 'gt."gt.A"': table(1), "ag.ag_a": table(0) },
  sequences: { "gt.gt_s": { last: "7", isCalled: true } },
  roles: ["gtown"],
  services: ["gt", "ag", "sc"],
  leftOut: [{ service: "lg", why: "a lock" }],
};
const manifest: Manifest = {
  ...{ format: 1, id: "20261126T170000Z-logical", kind: "logical", classes: ["daily"] },
  ...{ startedAt: "2026-11-26T17:00:00.000Z", finishedAt: "2026-11-26T17:01:00.000Z" },
  ...{ seconds: { tools: 1, proof: 1 }, tool: "pg_dump (PostgreSQL) 16.14" },
  server: { host: "pg16-primary", version: "16.14", systemIdentifier: "7", timeline: 1 },
  wal: { timeline: 1, start: "0/1", stop: "0/1" },
  files: [{ name: "appdb.dump", bytes: 1, sha256: "a".repeat(64) }],
  ...{ registrySha256: "b".repeat(64), accessSha256: "c".repeat(64) },
  logical,
};

/** Names of letters that JSON writes with six characters. */
const letters = (count: number) => String.fromCharCode(1).repeat(count);
const many = Object.fromEntries(
  Array.from({ length: 6_000 }, (_, n) => [`gt."gt_${letters(60 - String(n).length)}${n}"`, table(n)] as const),
);

const listed: BackupList = {
  ...{ backups: [], broken: [], wal: [], copy: null, drills: [], drillSince: null },
  ...{ stateAt: null, settingsAt: null, illness: null, weekOfWalBytes: 0, freeBytes: 0 },
};

describe("what is listed of a dump", () => {
  it("is how much it has of each service, and no table", () => {
    expect(summaryOf(manifest)).toEqual({
      ...manifest,
      logical: {
        dumps: [{ file: "appdb.dump", service: null }],
        counts: {
          gt: { tables: 2, rows: 3, sequences: 1 },
          ag: { tables: 1, rows: 0, sequences: 0 },
          sc: { tables: 0, rows: 0, sequences: 0 },
        },
        roles: ["gtown"],
        services: ["gt", "ag", "sc"],
        leftOut: [{ service: "lg", why: "a lock" }],
      },
    });
  });

  it("is of ninety of them less than a megabyte, however many tables a service has, whatever they are called, and whatever failed", () => {
    const why = `gt has ${letters(100_000)}`;
    const unverified = [`tables of no service: ${"x".repeat(100_000)}`];
    const imported = { name: "backup_20261127.sql", bytes: 1, sha256: "", unverified };
    const large = { ...manifest, imported, logical: { ...logical, tables: many, leftOut: [{ service: "gt", why }] } };
    expect(JSON.stringify(large).length).toBeGreaterThan(2 * 1024 ** 2);
    const backups = Array.from({ length: 90 }, () => summaryOf(large));
    expect(backups[0]?.logical?.leftOut[0]?.why).toHaveLength(1_001);
    expect(backups[0]?.imported?.unverified[0]).toHaveLength(1_001);
    expect(JSON.stringify(backups).length).toBeLessThan(1024 ** 2);
  });

  it("is the same where an agent that is older than this program has printed whole manifests", () => {
    const whole = { ...listed, backups: [{ ...manifest, pinned: true }] };
    const inShort = { ...listed, backups: [{ ...summaryOf(manifest), pinned: true }] };
    expect(parseBackupList(JSON.stringify(whole))).toEqual(inShort);
    expect(parseBackupList(JSON.stringify(inShort))).toEqual(inShort);
  });

  it("is told table by table of one service, in the order of their names", () => {
    expect(contentLines(logical, "gt")).toEqual(['gt."gt.A": 1 row', "gt.gt_b: 2 rows", "sequence gt.gt_s: 7"]);
    expect(contentLines(logical, "sc")).toEqual([]);
  });
});

describe("what a comparison tells of one service", () => {
  it("is the first hundred sentences, each no longer than a person reads, and how many more there are", () => {
    expect(firstOf(["gt.gt_a is missing"], "gt")).toEqual(["gt.gt_a is missing"]);
    const told = firstOf(
      Array.from({ length: 6_000 }, () => "x".repeat(5_000)),
      "gt",
    );
    expect(told).toHaveLength(101);
    expect(told[0]).toHaveLength(1_001);
    expect(told.at(-1)).toBe("and 5900 more of gt");
  });
});

describe("what is listed of drills", () => {
  const drill = (wrong: readonly string[]): Drill => {
    const at = "2026-11-29T06:00:00.000Z";
    const one = { kind: "logical", backup: manifest.id, startedAt: at, seconds: 1, lostSeconds: null, wrong } as const;
    return { format: 1, startedAt: at, finishedAt: at, backups: [one] };
  };
  const wrongOf = (drills: readonly Drill[]) => drills.map(({ backups }) => backups[0]?.wrong);

  it("is all of the last one, and of those before the first sentence and how many more there are", () => {
    const drills = [[], ["a"], ["a", "b"], ["a", "b", "and 150 more"], ["a", "b", "and 150 more"]].map(drill);
    expect(wrongOf(briefly(drills))).toEqual([
      [],
      ["a"],
      ["a", "and 1 more"],
      ["a", "and 151 more"],
      ["a", "b", "and 150 more"],
    ]);
  });

  it("is of sixty of them less than two megabytes, whatever is called in them", () => {
    const wrong = [...Array.from({ length: 100 }, () => letters(1_000)), "and 150 more"];
    const drills = Array.from({ length: 60 }, () => drill(wrong));
    expect(JSON.stringify(briefly(drills)).length).toBeLessThan(2 * 1024 ** 2);
  });
});

describe("Prometheus", () => {
  async function metricsOf(backups: readonly Stored[]): Promise<Readonly<Record<string, number>>> {
    const registry = new Registry();
    const gauge = (name: string, help: string, labelNames: string[]) =>
      new Gauge({ name, help, labelNames, registers: [registry] });
    setBackupMetrics(backups, gauge, new Date("2026-11-26T18:00:00Z"));
    const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return Object.fromEntries(lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.split(" ").at(-1))]));
  }
  const stored = (startedAt: string, ...services: readonly string[]): Stored => ({
    ...{ id: startedAt, kind: "logical", classes: ["daily"], startedAt: new Date(startedAt), pinned: false },
    ...{ services, folder: "", manifest: { ...summaryOf(manifest), startedAt } },
  });

  it("is told when the newest began and how long ago, and of each service; nothing of when one in the future did, nor of a file that is imported", async () => {
    const told = await metricsOf([stored("2026-11-26T17:00:00Z", "gt"), stored("2031-01-01T00:00:00Z", "gt", "ag")]);
    const labels = '{kind="logical",class="daily"}';
    expect(told).toMatchObject({
      [`proven${labels}`]: 2,
      [`last_success_timestamp_seconds${labels}`]: Date.parse("2026-11-26T17:00:00Z") / 1000,
      [`last_success_age_seconds${labels}`]: 3600,
      'service_last_success_timestamp_seconds{service="gt"}': Date.parse("2026-11-26T17:00:00Z") / 1000,
    });
    expect(Object.keys(told).filter((name) => name.includes('service="ag"'))).toEqual([]);
    const imported = { ...stored("2026-11-26T17:30:00Z", "gt"), kind: "imported" as const };
    expect(await metricsOf([stored("2026-11-26T17:00:00Z", "gt"), imported])).toMatchObject({
      'service_last_success_timestamp_seconds{service="gt"}': Date.parse("2026-11-26T17:00:00Z") / 1000,
    });
    const none = Object.keys(await metricsOf([stored("2031-01-01T00:00:00Z", "gt")]));
    expect(none.filter((name) => name.includes("last_success"))).toEqual([]);
  });
});
