import { describe, expect, it } from "vitest";
import { lacksRoom } from "../../agent/restore/base";
import {
  describeWindows,
  precedes,
  recoverySettings,
  refusal,
  severalHistories,
  shortXid,
  transactionRange,
  waysTo,
  type RecoveryTarget,
  type Way,
} from "../../agent/restore/point";
import { Unseen } from "../../agent/restore/unseen";
import { keptName } from "../../ops/restore/point/finish";
import { endedBecause, VainRestore } from "../../ops/restore/point/look";
import { run } from "../support/run";
import { parseLookPort, parseTarget, type TargetOptions } from "../../ops/restore/point/target";

const way = (base: string, stretch: string, from: [string, string], to: [string, number]): Way => ({
  ...{ base, folder: `/backups/backups/${base}`, stretch: `/backups/wal/${stretch}`, timeline: 1, walBytes: 0 },
  from: { time: new Date(from[0]), lsn: from[1] },
  to: { time: new Date(to[0]), segment: to[1] },
});

// Two bases of one stretch, and one of the stretch after a gap.
const ways = [
  way("a", "1", ["2026-11-01T00:00:00Z", "0/3000000"], ["2026-11-10T00:00:00Z", 9]),
  way("b", "1", ["2026-11-05T00:00:00Z", "0/6000000"], ["2026-11-10T00:00:00Z", 9]),
  way("c", "2", ["2026-11-12T00:00:00Z", "0/B000000"], ["2026-11-20T00:00:00Z", 0x1ff]),
];
const at = (kind: "time" | "lsn" | "xid", target: string): RecoveryTarget => ({ kind, at: target });

describe("the ways to a target", () => {
  it.each<[string, RecoveryTarget, readonly string[]]>([
    ["a time after two bases: the newer first", at("time", "2026-11-06 00:00:00+00:00"), ["b", "a"]],
    ["a time in another zone", at("time", "2026-11-05 08:59:59.9+09:00"), ["a"]],
    ["the moment a base was proven", at("time", "2026-11-05 00:00:00+00:00"), ["b", "a"]],
    ["a time in the gap: none", at("time", "2026-11-11 00:00:00+00:00"), []],
    ["a time before everything: none", at("time", "2026-10-31 23:59:59+00:00"), []],
    ["a time after everything: none", at("time", "2026-11-20 00:00:00.001+00:00"), []],
    ["the end of a base's own WAL", at("lsn", "0/6000000"), ["b", "a"]],
    ["a position in the last segment", at("lsn", "0/9FFFFFF"), ["b", "a"]],
    ["a position no segment has", at("lsn", "0/A000000"), []],
    ["a position beyond the first 4 GiB", at("lsn", "1/FF000028"), ["c"]],
    ["a transaction: all, the newest first", at("xid", "1234"), ["c", "b", "a"]],
    ["all there is: the newest", { kind: "latest" }, ["c"]],
  ])("%s", (_, target, expected) => {
    expect(waysTo(target, ways).map(({ base }) => base)).toEqual(expected);
  });

  it("lead on from the last in the WAL, also where one before it is dated in the future", () => {
    const [a, b, c] = ways;
    if (a === undefined || b === undefined || c === undefined) throw new Error("there are three");
    const ahead = { ...a, from: { ...a.from, time: new Date("2031-01-01T00:00:00Z") } };
    expect(waysTo({ kind: "latest" }, [b, c, ahead])).toEqual([c]);
    expect(waysTo({ kind: "latest" }, [b, ahead])).toEqual([b]);
    expect(waysTo(at("xid", "1234"), [b, c, ahead])).toEqual([c, b, ahead]);
  });

  it("are said to be of several histories where a position or a transaction may be in each", () => {
    const [a, b, c] = ways;
    const restored = way("d", "3", ["2026-11-13T00:00:00Z", "0/4000000"], ["2026-11-20T00:00:00Z", 8]);
    expect(severalHistories(at("lsn", "0/7000000"), [...ways, restored])).toBe(
      "LSN 0/7000000 may be in more than one history: the newest that has it is taken, and --to-time says which",
    );
    expect(severalHistories(at("lsn", "0/7000000"), ways)).toBeUndefined();
    expect(severalHistories(at("xid", "99"), ways)).toMatch(/^transaction 99 may be in more than one history/);
    expect(
      severalHistories(
        at("xid", "99"),
        [a, b].flatMap((one) => one ?? []),
      ),
    ).toBeUndefined();
    expect(severalHistories(at("time", "2026-11-14 00:00:00+00:00"), [...(c ? [c] : []), restored])).toBeUndefined();
  });

  it("are told where none leads there, a window for each stretch", () => {
    expect(describeWindows(ways)).toEqual([
      "from 2026-11-01T00:00:00.000Z (LSN 0/3000000) to 2026-11-10T00:00:00.000Z (LSN 0/A000000 at most)",
      "from 2026-11-12T00:00:00.000Z (LSN 0/B000000) to 2026-11-20T00:00:00.000Z (LSN 2/0 at most)",
    ]);
    expect(refusal(at("lsn", "0/1"), ways.slice(0, 1))).toBe(
      "LSN 0/1 cannot be reached; possible is any point from 2026-11-01T00:00:00.000Z (LSN 0/3000000) to 2026-11-10T00:00:00.000Z (LSN 0/A000000 at most)",
    );
    expect(refusal(at("xid", "99"), [], "its end is in no WAL")).toBe(
      "transaction 99 cannot be reached, its end is in no WAL; no point can be restored yet: it takes a physical backup and WAL",
    );
  });
});

describe("room for it", () => {
  it("is the base, a fifth more, and WAL up to 2 GiB", () => {
    const gib = 1024 ** 3;
    expect(lacksRoom("b", 10 * gib, 50 * gib, 14 * gib)).toBeUndefined();
    expect(lacksRoom("b", 10 * gib, gib, 13 * gib)).toBeUndefined();
    expect(lacksRoom("b", 10 * gib, 50 * gib, 13 * gib)).toBe(
      "13312 MiB are free where the node's data are, and 14336 MiB may be needed (b is 10240 MiB unpacked): make room, then again",
    );
  });
});

describe("the settings of a recovery", () => {
  it("name the target, the stretch, and where the histories of all timelines are", () => {
    const [, , c] = ways;
    expect(c && recoverySettings(at("time", "2026-11-13 00:00:00+09:00"), { ...c, timeline: 3 })).toBe(
      "restore_command = 'sh /usr/local/lib/centraldb/fetch-wal.sh /backups/wal/2 %f %p /backups/wal'\n" +
        "recovery_target_timeline = '3'\nrecovery_target_action = 'pause'\nrecovery_target_time = '2026-11-13 00:00:00+09:00'\n",
    );
    expect(c && recoverySettings({ kind: "latest" }, c)).not.toMatch(/recovery_target_(time|lsn|xid) /);
  });
});

describe("a transaction's number", () => {
  it("is compared as PostgreSQL does, on a circle of 32 bits", () => {
    expect(precedes(3, 4)).toBe(true);
    expect(precedes(4, 4)).toBe(false);
    expect(precedes(2 ** 32 - 10, 5)).toBe(true);
    expect(precedes(5, 2 ** 32 - 10)).toBe(false);
    expect(shortXid(String(2n ** 32n + 7n))).toBe(7);
  });

  it("is before or after a base backup's checkpoint", () => {
    const control = (oldest: number) =>
      `Latest checkpoint's NextXID:          1:750\nLatest checkpoint's oldestActiveXID:  ${oldest}\n`;
    expect(transactionRange(control(740))).toEqual({ next: 750, oldestActive: 740 });
    expect(transactionRange(control(0))).toEqual({ next: 750, oldestActive: 750 });
  });
});

describe("a target on the command line", () => {
  it.each<[TargetOptions, RecoveryTarget]>([
    [{ toTime: "2026-11-26T17:00:00Z" }, at("time", "2026-11-26 17:00:00+00:00")],
    [{ toTime: "2026-11-26T17:00:00.123Z" }, at("time", "2026-11-26 17:00:00.123+00:00")],
    [{ toTime: "2026-11-26 17:00:00.123456 UTC" }, at("time", "2026-11-26 17:00:00.123456+00:00")],
    [{ toTime: "2026-11-27 02:00:00+09" }, at("time", "2026-11-27 02:00:00+09:00")],
    [{ toTime: "2026-11-27 02:00+0530" }, at("time", "2026-11-27 02:00:00+05:30")],
    [{ toTime: "2026-11-26 17:00:00.1-03:30" }, at("time", "2026-11-26 17:00:00.1-03:30")],
    [{ toLsn: "0/30000a8" }, at("lsn", "0/30000A8")],
    [{ toXid: "007" }, at("xid", "7")],
    [{ toLatest: true }, { kind: "latest" }],
  ])("%j", (options, expected) => {
    expect(parseTarget(options)).toEqual(expected);
  });

  it.each<[TargetOptions, string]>([
    [{}, "restore: got no target, expected one of --to-time, --to-lsn, --to-xid and --to-latest"],
    [{ toXid: "5", toLatest: true }, "restore: got 2 targets, expected one of"],
    [
      { toTime: "2026-11-26 17:00:00" },
      '--to-time: got "2026-11-26 17:00:00", which has no time zone; expected a moment',
    ],
    [{ toTime: "2026-02-30T17:00:00Z" }, '--to-time: got "2026-02-30T17:00:00Z"; expected a moment with its zone'],
    [{ toTime: "2026-11-26T25:00:00Z" }, "--to-time: got"],
    [{ toTime: "yesterday" }, '--to-time: got "yesterday"; expected'],
    [{ toTime: "'; DROP\nTABLE" }, `--to-time: got "'; DROP\\nTABLE"; expected`],
    [{ toLsn: "3000028" }, '--to-lsn: got "3000028", expected a position such as 0/3000028'],
    [{ toLsn: "0/100000000" }, "--to-lsn: got"],
    [{ toXid: "2" }, '--to-xid: got "2", expected the number of a transaction'],
    [{ toXid: "-5" }, "--to-xid: got"],
  ])("%j is refused", (options, message) => {
    expect(() => parseTarget(options)).toThrow(message);
  });

  it("has a port of its own", () => {
    expect(parseLookPort("15432")).toBe(15_432);
    for (const port of ["0", "65536", "x", "1e3", ""]) expect(() => parseLookPort(port)).toThrow("--port: got");
  });
});

describe("a restore whose container has told nothing of itself", () => {
  const older = "error: unknown command 'recover'";

  it("is vain where the agent, which speaks first, does not know of restores", () => {
    expect(endedBecause("pg16-primary-restore", [older])).toBeInstanceOf(VainRestore);
    expect(endedBecause("pg16-primary-restore", [older, "(Did you mean serve?)"])).toBeInstanceOf(VainRestore);
  });

  it("goes on, whatever somebody has called a login in the server's log", () => {
    const log = ["2026-11-27 17:00:00 UTC [7] LOG:  starting PostgreSQL", 'FATAL:  password of user "a', older, '"'];
    const ended = endedBecause("pg16-primary-restore", log);
    expect(ended).not.toBeInstanceOf(VainRestore);
    expect(ended.message).toContain("pg16-primary-restore has ended; the same command goes on with it: FATAL");
    expect(endedBecause("pg16-primary-restore", [])).not.toBeInstanceOf(VainRestore);
  });
});

it("what is kept is named by the moment", () => {
  expect(keptName(new Date("2026-11-26T17:00:00.5Z"))).toBe("pgdata_before_20261126T170000Z");
});

it.each([
  ["finish", "--stack", "nowhere"],
  ["--stack", "nowhere", "--to-latest"],
])("restore %s %s is of the stack it names, not of dev", (...args) => {
  const { status, output } = run(process.execPath, ["--import", "tsx", "ops/main.ts", "restore", ...args]);
  expect(output).toMatch(/^unknown stack "nowhere": /);
  expect(status).toBe(1);
});

describe("a restored server that lets nobody in", () => {
  const answer = { recovering: true, pause: "paused", lsn: "0/3000028", committedAt: null, waits: false };
  it.each<[string, boolean, number, string | undefined]>([
    ["at the target", true, 0, "at the target"],
    ["at the end of the WAL", false, 5, "at the end"],
    ["on its way", false, 4, undefined],
  ])("%s is known when it was asked there three times in vain", (_, isPaused, waited, where) => {
    const unseen = new Unseen({ isPaused: () => isPaused, waited: () => waited });
    const looks = [undefined, undefined, undefined].map((found) => unseen.after(found));
    expect(looks).toEqual([undefined, undefined, undefined]);
    expect(unseen.after(undefined)).toBe(where);
    expect(unseen.after(answer)).toBeUndefined();
  });
});
