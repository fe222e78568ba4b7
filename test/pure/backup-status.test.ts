import { describe, expect, it } from "vitest";
import type { Drill } from "../../agent/drills/results";
import type { BackupKind } from "../../agent/schedule";
import type { Summary } from "../../agent/summary";
import { kindsOf, parseBackupId } from "../../ops/backup/agent";
import { parseBackupList, renderBackups, windowsOf, type BackupList } from "../../ops/backup/list";
import { backupLines, backupProblems, type BackupStatus } from "../../ops/status/backup";
import { services } from "../../services/registry";

const registry = services.filter(({ code }) => ["gt", "lg"].includes(code));
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const gib = 1024 ** 3;

function backup(kind: BackupKind, hours: number, leftOut: readonly string[] = []): BackupList["backups"][number] {
  const manifest: Summary = {
    ...{ format: 1, id: `${hours}-${kind}`, kind, classes: ["weekly"] },
    ...{ startedAt: hoursAgo(hours), finishedAt: hoursAgo(hours - 0.5), seconds: { tools: 60, proof: 30 } },
    server: { host: "pg16-replica", version: "16.14", systemIdentifier: "7", timeline: 1 },
    ...{ tool: "pg_dump (PostgreSQL) 16.14", wal: { timeline: 1, start: "0/1", stop: "0/2" } },
    files: [{ name: "appdb.dump", bytes: gib, sha256: "" }],
    ...{ registrySha256: "", accessSha256: "" },
    ...(kind === "physical"
      ? {}
      : {
          logical: {
            dumps: [{ file: "appdb.dump", service: null }],
            ...{ counts: {}, roles: [] },
            services: ["gt", "lg"].filter((code) => !leftOut.includes(code)),
            leftOut: leftOut.map((service) => ({ service, why: "a lock" })),
          },
        }),
  };
  return { ...manifest, pinned: false };
}

function drill(hours: number, wrong: readonly string[] = []): Drill {
  const one = { startedAt: hoursAgo(hours), seconds: 42.4, lostSeconds: null, wrong };
  return {
    ...{ format: 1, startedAt: hoursAgo(hours), finishedAt: hoursAgo(hours - 0.1) },
    backups: [
      { ...one, kind: "logical", backup: "6-logical" },
      { ...one, kind: "physical", backup: "30-physical", lostSeconds: 3.2, wrong: [] },
    ],
  };
}

const well: BackupList = {
  backups: [backup("physical", 30), backup("logical", 30), backup("logical", 6)],
  broken: [],
  wal: [{ begunAt: hoursAgo(31), first: "a", last: "b", segments: 2, receivedAt: hoursAgo(0), bases: ["30-physical"] }],
  copy: null,
  ...{ drills: [drill(20)], drillSince: null },
  ...{ stateAt: null, settingsAt: hoursAgo(100) },
  ...{ illness: null, weekOfWalBytes: gib, freeBytes: 100 * gib },
};
const running: BackupStatus = {
  ...{ container: "pg16-backup", state: "running", createdAt: hoursAgo(100), list: well },
  drill: { container: "pg16-drill", state: "running", createdAt: hoursAgo(100) },
};
const problems = (status: Partial<BackupStatus>) => backupProblems({ ...running, ...status }, registry, "prod");
const copy = { to: "vault:", backups: ["6-logical"], wal: {}, completeAt: hoursAgo(1), failed: null };

describe("what is wrong with the backups", () => {
  it("is nothing where all is well, nor in the first hour, nor where a service is in the dump before", () => {
    expect(problems({})).toEqual([]);
    const nothing = { ...well, backups: [], drills: [] };
    expect(problems({ createdAt: hoursAgo(0.5), list: nothing })).toEqual([]);
    const before = [backup("physical", 30), backup("logical", 30), backup("logical", 6, ["gt"])];
    expect(problems({ list: { ...well, backups: before } })).toEqual([]);
  });

  it("is nothing yet where a service is new, and something an hour later, or where a dump has left it out", () => {
    const withOne = [...registry, ...services.filter(({ code }) => code === "ag")];
    const found = (list: Partial<BackupList>) =>
      backupProblems({ ...running, list: { ...well, ...list } }, withOne, "prod");
    const said = [expect.stringMatching(/^aggregator is in no dump younger than 36 h/)];
    expect(found({ settingsAt: hoursAgo(0.5) })).toEqual([]);
    expect(found({ settingsAt: hoursAgo(1.1) })).toEqual(said);
    const leftOut = [...well.backups, backup("logical", 5, ["ag"])];
    expect(found({ settingsAt: hoursAgo(0.5), backups: leftOut })).toEqual(said);
  });

  it.each<[string, Partial<BackupStatus>, readonly string[]]>([
    [
      "a container that is gone",
      { state: "missing" },
      ["pg16-backup does not exist, and nobody makes backups: npm run up -- prod"],
    ],
    [
      "one that is stopped",
      { state: "exited" },
      ["pg16-backup is exited, and nobody makes backups: docker start pg16-backup"],
    ],
    [
      "backups that are too old, or not there",
      { list: { ...well, backups: [backup("logical", 40)] } },
      [
        "no logical backup younger than 36 h: the newest is of 1 d 16 h ago (docker logs pg16-backup)",
        "no physical backup younger than 192 h: there is none (docker logs pg16-backup)",
      ],
    ],
    [
      "a service that is in no dump young enough",
      { list: { ...well, backups: [backup("physical", 30), backup("logical", 40), backup("logical", 6, ["gt"])] } },
      ["gatherer is in no dump younger than 36 h (a lock): npm run ops -- backup now logical"],
    ],
    [
      "a dump without the roles",
      { list: { ...well, backups: [backup("physical", 30), backup("logical", 6, ["globals"])] } },
      ["the newest dump has no roles: a lock; npm run up -- prod, then npm run ops -- backup now logical"],
    ],
    [
      "backups that are too old beside one of a time to come",
      { list: { ...well, backups: [backup("physical", 30), backup("logical", 40), backup("logical", -900)] } },
      ["no logical backup younger than 36 h: the newest is of 1 d 16 h ago (docker logs pg16-backup)"],
    ],
    [
      "what is missing, whatever was made or changed at a time to come",
      {
        createdAt: hoursAgo(-900),
        list: { ...well, backups: [], settingsAt: hoursAgo(-900), copy: { ...copy, completeAt: hoursAgo(-900) } },
      },
      [
        "no logical backup younger than 36 h: there is none (docker logs pg16-backup)",
        "no physical backup younger than 192 h: there is none (docker logs pg16-backup)",
        "the second copy has not been complete for 6 h",
      ],
    ],
    [
      "WAL that does not come",
      { list: { ...well, illness: "no WAL is received: no primary answers" } },
      ["pg16-backup: no WAL is received: no primary answers (docker logs pg16-backup)"],
    ],
    [
      "a folder that is no backup",
      { list: { ...well, broken: [{ id: "by\u001b[2Jhand", why: "no manifest" }] } },
      ["by\\x1b[2Jhand in the store is no backup: no manifest"],
    ],
    [
      "a disk without room for a week",
      { list: { ...well, freeBytes: 9 * gib } },
      ["9216 MB are free for backups, and a week may take 13 GB: centraldb:backupRetentionDays, or a larger disk"],
    ],
    [
      "a second copy that fails",
      { list: { ...well, copy: { ...copy, completeAt: hoursAgo(7), failed: { why: "rclone: no route", at: "" } } } },
      ["the second copy has not been complete for 6 h: rclone: no route"],
    ],
  ])("names %s", (_, status, expected) => {
    expect(problems(status)).toEqual(expected);
  });
});

describe("what is wrong with the drill", () => {
  const again = "npm run ops -- backup drill --stack prod";
  const none = `no drill younger than 8 days: there is none: ${again} (docker logs pg16-drill)`;
  const of = (list: Partial<BackupList>, container: Partial<BackupStatus["drill"]> = {}) =>
    problems({ list: { ...well, ...list }, drill: { ...running.drill, ...container } });

  it.each<[string, Partial<BackupStatus["drill"]>, Partial<BackupList>, readonly string[]]>([
    [
      "a container that is gone",
      { state: "missing" },
      {},
      ["pg16-drill does not exist, and nobody restores backups: npm run up -- prod"],
    ],
    [
      "one that is stopped",
      { state: "exited" },
      {},
      ["pg16-drill is exited, and nobody restores backups: npm run ops -- start --stack prod"],
    ],
    [
      "the last one where it failed, whatever a name has in it",
      {},
      { drills: [drill(30), drill(20, ["gt.\u001b[2J is missing", "it has no lg"])] },
      [`the last drill, of 20 h 0 min ago, failed: 6-logical: gt.\\x1b[2J is missing and 1 more: ${again}`],
    ],
    ["none", {}, { drills: [] }, [none]],
    ["none but one of a time to come", {}, { drills: [drill(-900)] }, [none]],
    ["none that is under way since a time to come", {}, { drills: [], drillSince: hoursAgo(-900) }, [none]],
    ["none where the container is of a time to come", { createdAt: hoursAgo(-900) }, { drills: [] }, [none]],
    [
      "one that is too old, also where one that is under way has no end",
      {},
      { drills: [drill(8 * 24 + 1)], drillSince: hoursAgo(25) },
      [`no drill younger than 8 days: the last is of 8 d 1 h ago: ${again} (docker logs pg16-drill)`],
    ],
  ])("names %s", (_, container, list, expected) => {
    expect(of(list, container)).toEqual(expected);
  });

  it("is nothing where it went well since, is under way, or has been possible for less than an hour", () => {
    expect(of({ drills: [drill(30, ["gt.gt_raw is missing"]), drill(20)] })).toEqual([]);
    expect(of({ drills: [], drillSince: hoursAgo(2) })).toEqual([]);
    expect(of({ drills: [] }, { createdAt: hoursAgo(0.5) })).toEqual([]);
    expect(of({ drills: [], backups: [backup("physical", 1), backup("logical", 6)] })).toEqual([]);
  });
});

it("an agent that knows of no drills yet has made none", () => {
  const none = { ...well, drills: [], drillSince: null };
  expect(parseBackupList(JSON.stringify({ ...none, drills: undefined, drillSince: undefined }))).toEqual(none);
  expect(parseBackupList(JSON.stringify(well))).toEqual(well);
});

describe("what a person sees", () => {
  it("of the last drill is how long it took to have everything back, and what would have been lost", () => {
    const line = (list: Partial<BackupList>) =>
      backupLines({ ...running, list: { ...well, ...list } }).find(([name]) => name === "last drill")?.[1];
    expect(line({})).toBe("20 h 0 min ago: logical back in 42 s, physical back in 42 s, with the last 3 s lost");
    expect(line({ drills: [drill(5, ["gt.gt_raw is missing"])] })).toBe(
      "5 h 0 min ago: logical NOT what it was, physical back in 42 s, with the last 3 s lost",
    );
    expect(line({ drills: [] })).toBe("none yet");
    expect(line({ drills: [], drillSince: hoursAgo(0) })).toBe("the first is under way");
    expect(renderBackups(well).split("\n").at(-1)).toMatch(/^last drill: 20 h 0 min ago: logical back in 42 s/);
  });

  it("of a second copy is whether there is one, what is in it, and how old the state is", () => {
    const line = (list: BackupList) => backupLines({ ...running, list }).find(([name]) => name === "second copy")?.[1];
    expect(line(well)).toBe("none: a backup on the same machine is lost with it");
    expect(line({ ...well, copy })).toBe(
      "vault:: 1 of 3 backups, no state of the stack: npm run up; complete 1 h 0 min ago",
    );
    expect(line({ ...well, copy, stateAt: hoursAgo(2) })).toContain("the stack's state (2 h 0 min ago)");
    const ahead = { ...well, copy: { ...copy, completeAt: hoursAgo(-9) }, stateAt: hoursAgo(-9) };
    expect(line(ahead)).toBe(
      "vault:: 1 of 3 backups, the stack's state (dated in the future); complete dated in the future",
    );
  });

  it("of a backup that is dated in the future is that it is, and not that it is the newest", () => {
    const list = { ...well, backups: [...well.backups, backup("logical", -900)] };
    expect(backupLines({ ...running, list })[0]).toEqual([
      "backups",
      "logical 6 h 0 min ago, physical 1 d 6 h ago; 4 kept, 1 of them dated in the future",
    ]);
    expect(backupLines(running)[0]).toEqual(["backups", "logical 6 h 0 min ago, physical 1 d 6 h ago; 3 kept"]);
    const row = (id: string) =>
      renderBackups(list)
        .split("\n")
        .find((line) => line.startsWith(id));
    expect(row("-900-logical")).toContain("dated in the future");
    expect(row("6-logical")).toContain("6 h 0 min");
  });

  it("of the other clock, which may be seconds ahead, is nothing", () => {
    const list = { ...well, backups: [...well.backups, backup("logical", -30 / 3600)] };
    expect(backupLines({ ...running, list })[0]?.[1]).toBe("logical 0 s ago, physical 1 d 6 h ago; 4 kept");
  });

  it("of the points in time is a window for each stretch of WAL with a base backup in it, and none over a gap", () => {
    const at = (hours: number) => ({ begunAt: hoursAgo(hours), first: null, last: null, segments: 0 });
    const list: BackupList = {
      ...well,
      backups: [backup("physical", 30), backup("physical", 9)],
      wal: [
        { ...at(31), receivedAt: hoursAgo(20), bases: ["30-physical"] },
        { ...at(15), receivedAt: hoursAgo(14), bases: [] },
        { ...at(10), receivedAt: hoursAgo(0), bases: ["9-physical"] },
      ],
    };
    const hours = (time: string) => Math.round((Date.now() - Date.parse(time)) / 360_000) / 10;
    expect(windowsOf(list).map(({ from, to }) => [hours(from), hours(to)])).toEqual([
      [29.5, 20],
      [8.5, 0],
    ]);
    expect(renderBackups({ ...list, wal: [] })).toContain("no point in time can be restored yet");
  });
});

describe("what is asked for by a person", () => {
  it("is a kind, or an id as list has it", () => {
    expect(kindsOf("all")).toEqual(["logical", "physical"]);
    expect(kindsOf("physical")).toEqual(["physical"]);
    expect(parseBackupId("20261126T170000Z-logical")).toBe("20261126T170000Z-logical");
  });

  it.each(["", "Logical", "-x", "logical physical", "a\nb"])("%j is no kind, and is told so", (word) => {
    expect(() => kindsOf(word)).toThrow(/^kind of a backup: got ".*", allowed are logical, physical and all/);
    expect(() => parseBackupId(word)).toThrow(/^id of a backup: got ".*", it is like 20261126T170000Z-logical; /);
  });
});
