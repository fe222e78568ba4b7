import { describe, expect, it, vi } from "vitest";
import type { Summary } from "../../agent/summary";
import { planAccess } from "../../components/access/plan";
import { interrupted, uninterrupted } from "../../ops/interrupted";
import { serviceOfKept } from "../../ops/restore/in-place";
import { stamp, steps } from "../../ops/restore/steps";
import { choose as chooseAt, newerThan, datedAhead, isWhole } from "../../ops/restore/wanted";
import { services } from "../../services/registry";

const [gatherer, second, third] = services;
if (gatherer === undefined || second === undefined || third === undefined) throw new Error("the registry is too short");
const plan = planAccess([gatherer, second, third], { database: "appdb", extensions: [] });
const codes = plan.services.map(({ code }) => code);

function dump(day: number, inside: readonly string[] = codes, leftOut: readonly string[] = []): Summary {
  const at = `2026-11-${day}T17:00:00.000Z`;
  return {
    ...{ format: 1, id: `202611${day}T170000Z-logical`, kind: "logical", classes: ["daily"] },
    ...{ startedAt: at, finishedAt: at, seconds: { tools: 1, proof: 1 } },
    server: { host: "pg16-primary", version: "16.14", systemIdentifier: "7", timeline: 1 },
    ...{ tool: "pg_dump (PostgreSQL) 16.14", wal: { timeline: 1, start: "0/1", stop: "0/1" }, files: [] },
    ...{ registrySha256: "", accessSha256: "" },
    logical: {
      dumps: [{ file: "appdb.dump", service: null }],
      ...{ counts: {}, roles: [] },
      services: inside,
      leftOut: leftOut.map((service) => ({ service, why: "a lock" })),
    },
  };
}
const now = new Date("2026-11-25T12:00:00Z");
const choose = (backups: readonly Summary[], of: typeof plan, what: Parameters<typeof chooseAt>[2] = {}) =>
  chooseAt(backups, of, what, now);
const without = (code: string) => codes.filter((one) => one !== code);

describe("the dump that is restored", () => {
  it("is the newest that has what is wanted, or the one that is named", () => {
    const backups = [dump(20), dump(21), dump(22, without("gt"), ["gt"])];
    expect(choose(backups.slice(0, 2), plan).backup).toBe(backups[1]);
    expect(choose(backups, plan, { service: "gt" })).toEqual({ backup: backups[1], services: ["gt"], without: [] });
    expect(choose(backups, plan, { service: second.code }).backup).toBe(backups[2]);
    expect(choose(backups, plan, { id: "20261120T170000Z-logical" }).backup).toBe(backups[0]);
  });

  it("is no older one of all, where a service has kept itself out of the newest: a person says which", () => {
    const backups = [dump(20), dump(21), dump(22, without("gt"), ["gt"])];
    expect(() => choose(backups, plan)).toThrow(
      "20261122T170000Z-logical, the newest dump, has no gt (gt: a lock): restore --without gt takes the others from it; " +
        "20261121T170000Z-logical has all, and nothing that anybody has written since: to take it, name it",
    );
    expect(choose(backups, plan, { without: ["gt"] }).backup).toBe(backups[2]);
    expect(newerThan(choose(backups, plan, { service: "gt" }).backup, backups, now)).toEqual([
      "20261122T170000Z-logical",
    ]);
    expect(newerThan(choose(backups, plan, { service: second.code }).backup, backups, now)).toEqual([]);
  });

  it("is of all but those a person leaves out, and may still take the place of the whole", () => {
    const wanted = choose([dump(20, without("gt"), ["gt"])], plan, { without: ["gt"] });
    expect([wanted.services, isWhole(wanted, plan)]).toEqual([without("gt"), true]);
    expect(isWhole(choose([dump(20)], plan, { service: "gt" }), plan)).toBe(false);
    expect(isWhole(choose([dump(20, without("gt"))], plan), plan)).toBe(false);
  });

  it("may lack a service that was none then, and none that could not be dumped", () => {
    expect(choose([dump(20, without("gt"))], plan).services).toEqual(without("gt"));
    expect(() => choose([dump(20, without("gt"), ["gt"])], plan)).toThrow(
      "20261120T170000Z-logical has no gt (gt: a lock): choose another (backup list), or one service (--service)",
    );
    expect(() => choose([dump(20, without("gt"))], plan, { service: "gt" })).toThrow("they were no services then");
  });

  it("is never a file that somebody has brought, unless it is named", () => {
    const brought = { ...dump(23), id: "20261123T170000Z-imported", kind: "imported" } as const;
    expect(choose([dump(20), brought], plan).backup.id).toBe("20261120T170000Z-logical");
    expect(choose([dump(20), brought], plan, { id: brought.id }).backup).toBe(brought);
    expect(() => choose([brought], plan)).toThrow("there is no dump to restore");
  });

  it("is never one that is dated in the future, when the clock was wrong, unless it is named", () => {
    const ahead = dump(28);
    expect(choose([dump(20), ahead], plan).backup.id).toBe("20261120T170000Z-logical");
    expect(choose([dump(20), ahead], plan, { id: ahead.id }).backup).toBe(ahead);
    expect(() => choose([ahead], plan)).toThrow(
      "npm run ops -- backup list has all there is; 20261128T170000Z-logical is dated in the future, and is restored where it is named",
    );
    const brought = { ...ahead, id: "20261128T170000Z-imported", kind: "imported" } as const;
    expect(datedAhead([dump(20), ahead, brought], now)).toEqual([ahead.id]);
  });

  it("is told where there is none", () => {
    expect(() => choose([], plan)).toThrow("there is no dump to restore: npm run ops -- backup list has all there is");
    expect(() => choose([dump(20)], plan, { id: "20261121T170000Z-logical" })).toThrow(
      "there is no dump 20261121T170000Z-logical; there are 20261120T170000Z-logical",
    );
    expect(() => choose([dump(20)], plan, { service: "gt", table: "raw" })).toThrow(
      '--table "raw": expected one of gt, like gt.gt_data; npm run ops -- backup contents 20261120T170000Z-logical --service gt has all',
    );
  });
});

describe("services", () => {
  const [one] = plan.services;

  it("are known by the schema a restore in their place has kept", () => {
    expect(serviceOfKept(plan, `gt_before_${stamp(new Date("2026-11-27T10:15:00Z"))}`)).toBe(one);
    for (const name of ["appdb_before_20261127t101500", "gt", "gt_before_x", "xgt_before_20261127t101500"]) {
      expect(serviceOfKept(plan, name)).toBeUndefined();
    }
  });
});

describe("Ctrl-C", () => {
  it("stops what is done, but for what is worse half done, and ends it at once where it is pressed again", async () => {
    const others = process.listeners("SIGINT");
    process.removeAllListeners("SIGINT");
    const printed = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const exit = vi.spyOn(process, "exit").mockImplementation((() => undefined) as typeof process.exit);
    vi.useFakeTimers({ toFake: ["setTimeout", "setImmediate"] });
    try {
      const signal = interrupted();
      const said: string[] = [];
      const press = () => process.emit("SIGINT");
      await uninterrupted(
        (line) => said.push(line),
        () => Promise.resolve(press()),
      );
      expect([signal.aborted, said]).toEqual([false, ["it is done in a moment"]]);
      press();
      press(); // by npm
      expect(() => signal.throwIfAborted()).toThrow("stopped");
      expect(printed.mock.calls).toEqual([["is stopped: what is half done is undone\n"]]);
      expect(exit).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1000);
      press();
      expect(printed.mock.lastCall?.[0]).toMatch(/^is ended at once: what is half done may be left; /);
      expect(exit.mock.calls).toEqual([[130]]);
      expect(said).toHaveLength(1);
    } finally {
      vi.useRealTimers();
      [printed, exit].forEach((spy) => spy.mockRestore());
      process.removeAllListeners("SIGINT");
      for (const other of others) process.on("SIGINT", other);
    }
  });
});

describe("steps", () => {
  it("are printed with their number, result and time; one that fails says so", async () => {
    const lines: string[] = [];
    const progress = steps(2, (line) => lines.push(line));
    expect(await progress.run("look\u009b2J", () => Promise.resolve(["it is\u001b[2J well", 7]))).toBe(7);
    await expect(progress.run("do", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(lines[0]).toBe("1/2 look\\x9b2J");
    expect(lines[1]).toMatch(/^ {4}it is\\x1b\[2J well \(0\.\d s\)$/);
    expect(lines[2]).toBe("2/2 do");
    expect(lines[3]).toMatch(/^ {4}FAILED after 0\.\d s$/);
  });
});
