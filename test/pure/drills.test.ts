import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gauge, Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serviceOf, verdictsOf, type DrillFinding } from "../../agent/drills/findings";
import { Drills } from "../../agent/drills/drills";
import { setDrillMetrics } from "../../agent/drills/metrics";
import { renderResult, toldOf } from "../../agent/drills/newest";
import {
  keepDrill,
  noteUnderWay,
  readDrills,
  readUnderWay,
  type BackupDrill,
  type Drill,
} from "../../agent/drills/results";
import { isDrillDue } from "../../agent/drills/schedule";
import type { BackupKind } from "../../agent/schedule";
import { proofFlaws } from "../../components/lifecycle/retired";

const seoul = "Asia/Seoul";
const minute = 60_000;

/** One that took ten minutes. */
function drill(startedAt: string, wrong: readonly string[] = []): Drill {
  const at = (ms: number) => new Date(Date.parse(startedAt) + ms).toISOString();
  const one = (kind: BackupKind, ms: number): BackupDrill => ({
    ...{ kind, backup: `20261128T170000Z-${kind}`, startedAt: at(ms), seconds: 40, lostSeconds: null, wrong: [] },
  });
  const physical = { ...one("physical", 5 * minute), lostSeconds: 2.5 };
  return {
    ...{ format: 1, startedAt: at(0), finishedAt: at(10 * minute) },
    backups: [{ ...one("logical", 0), wrong }, physical],
  };
}

/** The same as an agent makes it that keeps what was found of each service. */
function drillThatFound(startedAt: string, found: readonly DrillFinding[]): Drill {
  const { backups, ...rest } = drill(
    startedAt,
    found.map(({ what }) => what),
  );
  const [logical, physical] = backups.map((one) => ({
    ...one,
    verdicts: one.kind === "logical" ? verdictsOf(found) : [],
  }));
  return { ...rest, backups: [logical, physical].flatMap((one) => one ?? []) };
}

describe("what a drill has found is of", () => {
  const known = [{ code: "gt" }, { code: "lg" }];
  const of = (finding: Partial<Parameters<typeof serviceOf>[0]>) => serviceOf({ role: "", ...finding }, known);

  it.each<[string, string | null, string | null]>([
    ["the service whose schema it is in, whoever got a right there", of({ role: "lguser", schema: "gt" }), "gt"],
    ["that one also where it is everybody's", of({ role: "PUBLIC", schema: "gt", owner: "gtown" }), "gt"],
    ["the service whose schema it is in, whoever owns it", of({ role: "lgown", schema: "gt", owner: "lgown" }), "gt"],
    ["who owns it elsewhere", of({ role: "PUBLIC", schema: "public", owner: "gtown" }), "gt"],
    ["who would grant it in future", of({ role: "lgapp", owner: "gtown" }), "gt"],
    ["the role's service", of({ role: "lgapp" }), "lg"],
    ["the service whose restore it has kept from being forgotten", of({ role: "gtown_restore_1a2b3c4d" }), "gt"],
    ["nobody where it is the platform's", of({ role: "gtapp", schema: "pg_catalog", owner: "postgres" }), null],
    ["nobody where it is of no role", of({ role: "" }), null],
    ["nobody where a role only looks like it", of({ role: "gtowner" }), null],
  ])("%s", (_, found, expected) => {
    expect(found).toBe(expected);
  });

  it("each with how much it is, and one of it", () => {
    expect(verdictsOf([])).toEqual([]);
    const found = [
      { service: "gt", what: "a" },
      { service: null, what: "b" },
      { service: "gt", what: "c" },
    ];
    expect(verdictsOf(found)).toEqual([
      { service: "gt", findings: 2, first: "a" },
      { service: null, findings: 1, first: "b" },
    ]);
  });
});

describe("what a drill says", () => {
  it("is of each service the first hundred sentences, each no longer than a person reads, and how many more", () => {
    const many = Array.from({ length: 150 }, () => ({ service: "gt", what: "x".repeat(500_000) }));
    const others = [
      { service: "ag", what: "a" },
      { service: null, what: "b" },
    ];
    const told = toldOf([...many, ...others]);
    expect(told).toHaveLength(103);
    expect(told[0]).toHaveLength(1_001);
    expect(told.slice(-3)).toEqual(["and 50 more of gt", "a", "b"]);
  });
});

describe("a drill is due", () => {
  // 2026-11-29 is a Sunday; its 06:00 in Seoul is 21:00 of the day before.
  const backups = (...made: [BackupKind, string][]) =>
    made.map(([kind, startedAt]) => ({ kind, startedAt: new Date(startedAt) }));
  const both = backups(["logical", "2026-11-01T00:00:00Z"], ["physical", "2026-11-01T00:05:00Z"]);
  const isDue = (now: string, drills: readonly Drill[], of = both, timeZone = seoul) =>
    isDrillDue(drills, () => of, new Date(now), timeZone);

  it("in a new stack as soon as there is a backup of each kind, and not before", () => {
    const now = "2026-11-25T00:00:00Z";
    expect(isDue(now, [], [])).toBe(false);
    expect(isDue(now, [], backups(["logical", now]))).toBe(false);
    expect(isDue(now, [], backups(["physical", now]))).toBe(false);
    expect(isDue(now, [], backups(["logical", now], ["physical", "2026-11-25T00:01:01Z"]))).toBe(false);
    expect(isDue(now, [], backups(["logical", now], ["physical", now]))).toBe(true);
  });

  it("on Sunday at 06:00 of the stack's time zone, four hours after the backups, and once", () => {
    const last = [drill("2026-11-25T00:00:00Z")];
    expect(isDue("2026-11-28T20:59:59Z", last)).toBe(false);
    expect(isDue("2026-11-28T21:00:00Z", last)).toBe(true);
    expect(isDue("2026-11-28T21:00:00Z", last, both, "Europe/Berlin")).toBe(false);
    expect(isDue("2026-11-29T05:00:00Z", last, both, "Europe/Berlin")).toBe(true);
    expect(isDue("2026-11-28T21:11:00Z", [...last, drill("2026-11-28T21:00:00Z")])).toBe(false);
    expect(isDue("2026-12-05T20:59:59Z", [...last, drill("2026-11-28T21:00:00Z")])).toBe(false);
  });

  it("whenever somebody looks after a Sunday that was missed, backups or not being asked for before", () => {
    expect(isDue("2026-12-02T12:00:00Z", [drill("2026-11-21T21:00:00Z")])).toBe(true);
    const nobodyAsks = () => expect.fail("the backups are read");
    const made = [drill("2026-12-02T12:00:00Z")];
    expect(isDrillDue(made, nobodyAsks, new Date("2026-12-02T13:00:00Z"), seoul)).toBe(false);
  });

  it("again half an hour after one that failed, then twice as late each time, up to a day", () => {
    const failed = (...times: string[]) => times.map((time) => drill(time, ["gt.gt_raw is missing"]));
    const first = failed("2026-11-30T00:00:00Z"); // ended at 00:10
    expect(isDue("2026-11-30T00:39:59Z", first)).toBe(false);
    expect(isDue("2026-11-30T00:40:00Z", first)).toBe(true);
    const second = [...first, ...failed("2026-11-30T00:40:00Z")]; // ended at 00:50
    expect(isDue("2026-11-30T01:49:59Z", second)).toBe(false);
    expect(isDue("2026-11-30T01:50:00Z", second)).toBe(true);
    const many = failed(...Array.from({ length: 9 }, (_, day) => `2026-12-1${day}T00:00:00Z`)); // Sunday was the 13th
    expect(isDue("2026-12-19T00:09:59Z", many)).toBe(false);
    expect(isDue("2026-12-19T00:10:00Z", many)).toBe(true);
    const mended = [...second, drill("2026-11-30T02:00:00Z")];
    expect(isDue("2026-11-30T12:00:00Z", mended)).toBe(false);
    // Sunday has another base backup: it is not waited for.
    expect(isDue("2026-12-05T21:00:00Z", failed("2026-12-05T20:45:00Z"))).toBe(true);
  });

  it("also where one is dated years ahead, when the clock was wrong", () => {
    const ahead = [drill("2031-01-01T00:00:00Z")];
    expect(isDue("2026-12-02T12:00:00Z", ahead)).toBe(true);
    expect(isDue("2026-12-02T13:00:00Z", [drill("2026-12-02T12:00:00Z"), ...ahead])).toBe(false);
  });
});

describe("what drills have found", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "centraldb-drills-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const results = () => join(folder, "results");

  it("is kept as it is, the newest sixty, in order of time", () => {
    expect(readDrills(folder)).toEqual([]);
    const drills = Array.from({ length: 62 }, (_, week) => {
      return drill(new Date(Date.parse("2026-01-04T00:00:00Z") + week * 7 * 24 * 60 * minute).toISOString());
    });
    for (const one of [...drills].reverse().slice(0, 3)) keepDrill(folder, one);
    for (const one of drills) keepDrill(folder, one);
    expect(readDrills(folder)).toEqual(drills.slice(2));
    expect(readdirSync(results())).toHaveLength(60);
  });

  it("is shortened where an owner has made it long", () => {
    const wrong = Array.from({ length: 250 }, (_, table) => `${table} ${"x".repeat(5_000)}`);
    keepDrill(folder, drill("2026-11-29T06:00:00.000Z", wrong));
    const kept = readDrills(folder)[0]?.backups[0]?.wrong ?? [];
    expect(kept).toHaveLength(101);
    expect(kept[0]).toHaveLength(1_000);
    expect(kept.at(-1)).toBe("and 150 more");
  });

  it("of one service is kept however much is found of another before it, and is what its proof goes by", () => {
    const of = (service: string, length: number) =>
      Array.from({ length }, (_, table) => ({ service, what: `${service}.${service}_${table} ${"x".repeat(5_000)}` }));
    const found = [...of("gt", 5_000), ...of("lg", 2)];
    keepDrill(folder, drillThatFound("2026-11-29T06:00:00.000Z", found));
    const [kept] = readDrills(folder);
    expect(kept?.backups[0]?.wrong.some((sentence) => sentence.startsWith("lg."))).toBe(false);
    expect(kept?.backups[0]?.verdicts).toEqual([
      { service: "gt", findings: 5_000, first: found[0]?.what.slice(0, 1_000) },
      { service: "lg", findings: 2, first: found[5_000]?.what.slice(0, 1_000) },
    ]);
    const logical = { services: ["lg", "ag"] };
    const backup = kept?.backups[0]?.backup ?? "";
    const list = { backups: [{ id: backup, pinned: true, logical }], drills: kept === undefined ? [] : [kept] };
    expect(proofFlaws({ code: "lg" }, backup, list)).toEqual([
      expect.stringMatching(/^the drill of \S+ failed: lg\.lg_0 x+, and 1 more$/),
    ]);
    expect(proofFlaws({ code: "ag" }, backup, list)).toEqual([]);
  });

  it("is readable also from before it was kept of each service, and proves nothing of one then", () => {
    keepDrill(folder, drill("2026-11-29T06:00:00.000Z"));
    const drills = readDrills(folder);
    expect(drills).toEqual([drill("2026-11-29T06:00:00.000Z")]);
    const logical = { services: ["lg"] };
    const id = drills[0]?.backups[0]?.backup ?? "";
    expect(proofFlaws({ code: "lg" }, id, { backups: [{ id, pinned: true, logical }], drills })).toEqual([
      `the drill of ${id} says nothing of each service: it is of an older agent (where that one still runs, first lifecycle "frozen" and npm run up)`,
    ]);
  });

  it("is nothing else: no half of one, no link to a file of somebody's, nothing that another has written", () => {
    keepDrill(folder, drill("2026-11-29T06:00:00.000Z"));
    const whole = readDrills(folder);
    const [name = ""] = readdirSync(results());
    const put = (second: number, text: string) => {
      writeFileSync(join(results(), `20261129T05000${second}000Z.json`), text);
    };
    put(0, '{"format": 1, "startedAt"');
    put(1, "null");
    put(2, JSON.stringify({ ...whole[0], format: 2 }));
    put(3, JSON.stringify({ ...whole[0], startedAt: "yesterday" }));
    put(4, JSON.stringify({ ...whole[0], backups: [{ kind: "logical", backup: { toString: 1 } }] }));
    const one = (changes: object) => ({ ...whole[0], backups: [{ ...whole[0]?.backups[0], ...changes }] });
    const bad = [{ service: "gt" }, { service: 1, findings: 1, first: "" }, { service: null, findings: 0, first: "" }];
    for (const [index, verdict] of bad.entries()) {
      writeFileSync(
        join(results(), `20261129T05010${index}000Z.json`),
        JSON.stringify(one({ wrong: ["a"], verdicts: [verdict] })),
      );
    }
    put(8, JSON.stringify(one({ wrong: ["gt.gt_raw is missing"], verdicts: [] })));
    put(9, JSON.stringify(one({ wrong: [], verdicts: [{ service: "gt", findings: 1, first: "" }] })));
    put(5, `${JSON.stringify(whole[0])}${" ".repeat(5 * 1024 ** 2)}`);
    writeFileSync(join(results(), `${name}.new`), "");
    mkdirSync(join(results(), "20261129T050006000Z.json"));
    symlinkSync(join(results(), name), join(results(), "20261129T050007000Z.json"));
    expect(readDrills(folder)).toEqual(whole);
  });

  it("is no more than is kept where another has written it, and no older ones", () => {
    keepDrill(folder, drill("2026-11-29T06:00:00.000Z"));
    const [whole] = readDrills(folder);
    const [name = ""] = readdirSync(results());
    const one = { ...whole?.backups[0], wrong: Array.from({ length: 500 }, () => "x".repeat(2_000)), more: "x" };
    const large = { ...whole, more: "x", backups: Array.from({ length: 3 }, () => one) };
    writeFileSync(join(results(), name), JSON.stringify(large));
    for (let second = 0; second < 60; second++) {
      writeFileSync(join(results(), `20261128T0500${String(second).padStart(2, "0")}000Z.json`), JSON.stringify(whole));
    }
    const found = readDrills(folder);
    expect(found).toHaveLength(60);
    const wrong = Array.from({ length: 101 }, () => "x".repeat(1_000));
    expect(found.at(-1)).toEqual({ ...whole, backups: [0, 1].map(() => ({ ...whole?.backups[0], wrong })) });
  });

  it("is noted while it is sought", () => {
    expect(readUnderWay(folder)).toBeUndefined();
    noteUnderWay(folder, { since: "2026-11-29T06:00:00.000Z", killed: 1 });
    expect(readUnderWay(folder)).toEqual({ since: "2026-11-29T06:00:00.000Z", killed: 1 });
    noteUnderWay(folder, undefined);
    noteUnderWay(folder, undefined);
    expect(readUnderWay(folder)).toBeUndefined();
    writeFileSync(join(folder, "under-way.json"), '{"since": ["\\u001b[2J"]}');
    expect(readUnderWay(folder)).toBeUndefined();
    expect(existsSync(results())).toBe(false);
  });

  it("is that it was killed, where it was so twice in a row: else it would be under way for ever", async () => {
    const places = { configuration: folder, store: folder, socket: join(folder, "socket") };
    const start = () => new Drills({ places, folder, signal: AbortSignal.abort(), say: () => undefined }).work();
    const since = "2026-11-29T06:00:00.000Z";
    noteUnderWay(folder, { since, killed: 0 });
    await start();
    expect(readUnderWay(folder)).toEqual({ since, killed: 1 });
    expect(readDrills(folder)).toEqual([]);
    await start();
    expect(readUnderWay(folder)).toBeUndefined();
    const [kept] = readDrills(folder);
    expect(kept?.startedAt).toBe(since);
    expect(kept?.backups.map(({ kind, wrong }) => [kind, wrong])).toEqual(
      ["logical", "physical"].map((kind) => [kind, [expect.stringContaining("was killed 2 times") as unknown]]),
    );
    await start();
    expect(readDrills(folder)).toHaveLength(1);
  });

  it("is told in a line for each backup", () => {
    const [logical, physical] = drill("2026-11-29T06:00:00.000Z", ["gt.gt_raw is missing"]).backups;
    expect([logical, physical].map((one) => one && renderResult(one))).toEqual([
      "20261128T170000Z-logical: NOT what it was; it took 40.0 s",
      "20261128T170000Z-physical: restored, and what it was; it took 40.0 s; without both servers the last 3 s would be lost",
    ]);
    expect(logical && renderResult({ ...logical, seconds: null })).toBe("20261128T170000Z-logical: NOT what it was");
  });
});

describe("Prometheus", () => {
  async function metricsOf(drills: readonly Drill[]): Promise<Readonly<Record<string, number>>> {
    const registry = new Registry();
    const now = new Date("2026-12-01T00:00:00Z");
    setDrillMetrics(
      drills,
      (name, help, labelNames) => new Gauge({ name, help, labelNames, registers: [registry] }),
      now,
    );
    const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return Object.fromEntries(lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.split(" ").at(-1))]));
  }
  const seconds = (time: string) => Date.parse(time) / 1000;

  it("is told nothing of drills where there was none", async () => {
    expect(await metricsOf([])).toEqual({});
    expect(await metricsOf([drill("2031-01-01T00:00:00Z")])).toEqual({});
  });

  it("is told of each kind when it was, whether it went well, how long it took and what would have been lost", async () => {
    const good = drill("2026-11-22T21:00:00Z");
    const bad = { ...drill("2026-11-29T21:00:00Z", ["gt.gt_raw is missing"]) };
    expect(await metricsOf([good, bad])).toEqual({
      'drill_timestamp_seconds{kind="logical"}': seconds("2026-11-29T21:00:00Z"),
      'drill_timestamp_seconds{kind="physical"}': seconds("2026-11-29T21:05:00Z"),
      'drill_last_success_timestamp_seconds{kind="logical"}': seconds("2026-11-22T21:00:00Z"),
      'drill_last_success_timestamp_seconds{kind="physical"}': seconds("2026-11-29T21:05:00Z"),
      'drill_success{kind="logical"}': 0,
      'drill_success{kind="physical"}': 1,
      'drill_recovery_seconds{kind="logical"}': 40,
      'drill_recovery_seconds{kind="physical"}': 40,
      'drill_lost_seconds{kind="physical"}': 2.5,
    });
  });
});
