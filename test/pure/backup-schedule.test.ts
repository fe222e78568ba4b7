import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { atLeast, basesWithWal, expired, type Kept } from "../../agent/retention";
import {
  backupKinds,
  classesOf,
  dueClasses,
  lastDue,
  newServices,
  nextDue,
  unknownServices,
  type BackupKind,
} from "../../agent/schedule";

const seoul = "Asia/Seoul";
const utc = (text: string) => new Date(text);
const iso = (date: Date) => date.toISOString().replace(":00.000Z", "Z");
const day = 24 * 3600 * 1000;

describe("the page's times", () => {
  it.each([
    // In Seoul 02:00 is 17:00 UTC of the day before. 2026-11-29 is a Sunday.
    ["daily", "2026-11-26T16:59:59.999Z", "2026-11-25T17:00Z"],
    ["daily", "2026-11-26T17:00:00Z", "2026-11-26T17:00Z"],
    ["weekly", "2026-11-28T16:59:00Z", "2026-11-21T17:00Z"],
    ["weekly", "2026-11-28T17:00:00Z", "2026-11-28T17:00Z"],
    ["monthly", "2026-10-31T16:59:00Z", "2026-09-30T17:00Z"],
    ["monthly", "2026-10-31T17:00:00Z", "2026-10-31T17:00Z"],
    ["monthly", "2028-03-15T00:00:00Z", "2028-02-29T17:00Z"],
  ] as const)("%s at %s was last due at %s", (backupClass, now, due) => {
    expect(iso(lastDue(backupClass, utc(now), seoul))).toBe(due);
  });

  it.each([
    ["Europe/Berlin", "a night without 02:00", "2026-03-28T12:00Z", "2026-03-29T01:00Z", "2026-03-30T00:00Z"],
    ["Europe/Berlin", "a night with two of them", "2026-10-24T12:00Z", "2026-10-25T00:00Z", "2026-10-26T01:00Z"],
    ["America/New_York", "a night with 01:00 twice", "2026-10-31T12:00Z", "2026-11-01T07:00Z", "2026-11-02T07:00Z"],
  ])("%s, %s: due once", (timeZone, _, from, first, second) => {
    const next = nextDue(utc(from), timeZone);
    expect([iso(next), iso(nextDue(next, timeZone))]).toEqual([first, second]);
    expect(iso(lastDue("daily", utc(second), timeZone))).toBe(second);
    expect(iso(lastDue("daily", new Date(utc(second).getTime() - 1), timeZone))).toBe(first);
  });
});

describe("a run", () => {
  const made = (kind: BackupKind, startedAt: string, ...classes: Kept["classes"]) => ({
    kind,
    startedAt: utc(startedAt),
    classes,
  });
  const sunday = utc("2026-11-28T17:00:01Z");

  it("counts for every class that is due, a physical one for weekly and monthly only", () => {
    expect(dueClasses("logical", [], sunday, seoul)).toEqual(["daily", "weekly", "monthly"]);
    expect(dueClasses("physical", [], sunday, seoul)).toEqual(["weekly", "monthly"]);
    const before = [made("logical", "2026-11-27T17:00:00Z", "daily", "weekly", "monthly")];
    expect(dueClasses("logical", before, sunday, seoul)).toEqual(["daily", "weekly"]);
    expect(dueClasses("logical", before, utc("2026-11-28T16:59:59Z"), seoul)).toEqual([]);
  });

  it("is wanted for a service the last dump has not heard of, and not for one it has left out", () => {
    const last = { services: ["gt", "lg"], leftOut: [{ service: "ag", why: "a lock" }] };
    expect(unknownServices(last, ["gt", "lg", "ag"])).toEqual([]);
    expect(unknownServices(last, ["gt", "ag", "ar"])).toEqual(["ar"]);
  });

  it("is wanted for a new service at once, and not again and again where the last by name is dated in the future", () => {
    const dump = (startedAt: string, ...inside: readonly string[]) => ({
      ...({ kind: "logical", startedAt: utc(startedAt) } as const),
      manifest: { logical: { services: inside, leftOut: [] } },
    });
    const old = [dump("2026-11-27T17:00:00Z", "gt"), dump("2031-01-01T00:00:00Z", "gt")];
    expect(newServices([], ["gt"], sunday)).toEqual([]);
    expect(newServices(old, ["gt"], sunday)).toEqual([]);
    expect(newServices(old, ["gt", "ag"], sunday)).toEqual(["ag"]);
    const made = dump("2026-11-28T16:59:00Z", "gt", "ag");
    const now = [old, made].flat().sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
    expect(newServices(now, ["gt", "ag"], sunday)).toEqual([]);
    // It is no last one any more: the clock was set back since.
    const before = utc("2026-11-28T16:00:00Z");
    expect(newServices(now, ["gt", "ag"], before)).toEqual(["ag"]);
    expect(newServices(now, ["gt", "ag"], before, made.manifest.logical)).toEqual([]);
    expect(newServices(now, ["gt", "ag", "lg"], before, made.manifest.logical)).toEqual(["lg"]);
  });

  it("that was missed on Sunday and the 1st is made up on Tuesday, for all it missed", () => {
    const before = [
      made("physical", "2026-10-31T17:00:00Z", "weekly", "monthly"),
      made("physical", "2026-11-21T17:00:00Z", "weekly"),
    ];
    expect(dueClasses("physical", before, utc("2026-12-01T10:00:00Z"), seoul)).toEqual(["weekly", "monthly"]);
    const after = [...before, made("physical", "2026-12-01T10:00:00Z", "weekly", "monthly")];
    expect(dueClasses("physical", after, utc("2026-12-05T16:59:59Z"), seoul)).toEqual([]);
    expect(dueClasses("physical", after, utc("2026-12-05T17:00:00Z"), seoul)).toEqual(["weekly"]);
  });

  it("from a time when the clock was years ahead keeps none from being made", () => {
    const wrong = [made("logical", "2031-01-01T00:00:00Z", "daily", "weekly", "monthly")];
    expect(dueClasses("logical", wrong, sunday, seoul)).toEqual(["daily", "weekly", "monthly"]);
  });
});

describe("a year of nights, of which any may fail, be missed or leave a service out, with pins", () => {
  const services = ["gt", "lg"];
  const days = { daily: 7, weekly: 28, monthly: 90 };
  const has = (service: string) => (backup: Kept) => backup.services?.includes(service) ?? true;
  const night = fc.record({
    logical: fc.boolean(),
    physical: fc.boolean(),
    pin: fc.integer({ min: 0, max: 40 }).map((roll) => roll === 0),
    leftOut: fc.integer({ min: 0, max: 9 }).map((roll) => services[roll]),
    lateMinutes: fc.integer({ min: 0, max: 1439 }),
  });

  it("nothing needed is lost, and nothing is kept too long", () => {
    fc.assert(
      fc.property(
        fc.array(night, { minLength: 366, maxLength: 366 }),
        fc.constantFrom(seoul, "Europe/Berlin"),
        (nights, timeZone) => {
          let kept: Kept[] = [];
          let tonight = utc("2027-12-31T12:00:00Z");
          for (const { logical, physical, pin, leftOut, lateMinutes } of nights) {
            tonight = nextDue(tonight, timeZone);
            const now = new Date(tonight.getTime() + lateMinutes * 60_000);
            for (const kind of backupKinds) {
              const classes = dueClasses(kind, kept, now, timeZone);
              if (classes.length === 0 || !{ logical, physical }[kind]) continue;
              const inside = kind === "physical" ? undefined : services.filter((service) => service !== leftOut);
              kept.push({
                ...{ id: `${kind} ${iso(now)}`, kind, startedAt: now, classes, pinned: pin, services: inside },
              });
            }
            const gone = expired(kept, days, services, now);
            const left = kept.filter((backup) => !gone.includes(backup));
            for (const kind of backupKinds) {
              for (const backupClass of classesOf[kind]) {
                const of = (some: readonly Kept[]) =>
                  some.filter((one) => one.kind === kind && one.classes.includes(backupClass));
                // Whatever is younger than its class is kept is there, the last two of the class that have a service, and what is pinned.
                const young = of(kept).filter(
                  ({ startedAt }) => now.getTime() - startedAt.getTime() < days[backupClass] * day,
                );
                expect(of(left)).toEqual(expect.arrayContaining(young));
                for (const service of services) {
                  const last = of(kept).filter(has(service)).slice(-atLeast);
                  expect(of(left)).toEqual(expect.arrayContaining(last));
                }
              }
            }
            expect(gone.filter(({ pinned }) => pinned)).toEqual([]);
            // What is left has a reason of its own.
            for (const backup of left) {
              const reasons = backup.classes.filter((backupClass) => {
                const same = left.filter((one) => one.kind === backup.kind && one.classes.includes(backupClass));
                const isYoung = now.getTime() - backup.startedAt.getTime() < days[backupClass] * day;
                return (
                  isYoung || services.some((service) => same.filter(has(service)).slice(-atLeast).includes(backup))
                );
              });
              if (!backup.pinned) expect(reasons).not.toEqual([]);
            }
            kept = left;
          }
        },
      ),
      { numRuns: 4, endOnFailure: true },
    );
  });

  it("a pin takes no WAL away: a base has it as long as without one, and then only what it has in itself", () => {
    const [old, young] = ["2026-08-01T00:00:00Z", "2026-11-29T00:00:00Z"].map((startedAt): Kept => ({
      ...{ id: startedAt, kind: "physical", startedAt: utc(startedAt), classes: ["weekly"], pinned: true },
      services: undefined,
    }));
    const middle = { ...old, id: "middle", startedAt: utc("2026-11-28T00:00:00Z"), pinned: false } as Kept;
    const all = [old, middle, young].flatMap((one) => one ?? []);
    expect(basesWithWal(all, days, services, utc("2026-11-30T00:00:00Z"))).toEqual([middle, young]);
  });

  it("thirty days leave one monthly, and never fewer than two", () => {
    const monthly = ["2026-08-31T17:00:00Z", "2026-09-30T17:00:00Z", "2026-10-31T17:00:00Z"].map((startedAt): Kept => ({
      ...{ id: startedAt, kind: "physical", startedAt: utc(startedAt), classes: ["monthly"], pinned: false },
      services: undefined,
    }));
    const gone = expired(monthly, { daily: 30, weekly: 30, monthly: 30 }, services, utc("2026-11-30T00:00:00Z"));
    expect(gone.map(({ id }) => id)).toEqual(["2026-08-31T17:00:00Z"]);
  });

  it("one of a time to come, when the clock was wrong, is kept and counts for none", () => {
    const all = ["2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z", "2031-01-01T00:00:00Z", "2031-01-02T00:00:00Z"].map(
      (startedAt): Kept => ({
        ...{ id: startedAt, kind: "logical", startedAt: utc(startedAt), classes: ["daily"], pinned: false },
        services,
      }),
    );
    expect(expired(all, days, services, utc("2026-11-30T00:00:00Z"))).toEqual([]);
  });
});
