import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { noteFile, restoredFolder } from "../../components/backup/restore-files";
import { run } from "../support/run";

// What a restore to a point in time does in a node's volume, on a folder that is as one whose command was killed.
const script = readFileSync(join(__dirname, "..", "..", "ops", "restore", "point", "volume.sh"), "utf8");
const kept = "pgdata_before_20261127T101500Z";
const earlier = "pgdata_before_20261120T101500Z";
let volume: string;
beforeEach(() => {
  volume = mkdtempSync(join(tmpdir(), "centraldb-volume-"));
  writeFileSync(join(volume, noteFile), "{}\n");
});
afterEach(() => {
  rmSync(volume, { recursive: true });
});

/** Data directories, each with whose data it has. */
function lay(folders: Readonly<Record<string, string>>): void {
  for (const [name, data] of Object.entries(folders)) {
    mkdirSync(join(volume, name));
    writeFileSync(join(volume, name, "data"), data);
  }
}

/** The same as it is now. */
const found = () =>
  Object.fromEntries(
    readdirSync(volume)
      .filter((name) => name.startsWith("pgdata"))
      .map((name) => [name, readFileSync(join(volume, name, "data"), "utf8")]),
  );
const hasNote = () => readdirSync(volume).includes(noteFile);
const act = (...action: string[]) =>
  run("bash", ["-c", script, "volume", ...action], {
    env: { ...process.env, DATA: volume, NOTE: noteFile, RESTORED: restoredFolder },
  });

describe("what was restored is thrown away", () => {
  it("before a swap: the node's own data stay", () => {
    lay({ pgdata: "own", [restoredFolder]: "restored", [`${restoredFolder}.unfinished`]: "half" });
    expect(act("discard", "", "")).toMatchObject({ status: 0, output: "" });
    expect([found(), hasNote()]).toEqual([{ pgdata: "own" }, false]);
  });

  it("after a swap that was killed between its renames: the node's own data have their name again", () => {
    lay({ [kept]: "own", [restoredFolder]: "restored" });
    expect(act("discard", "", kept)).toMatchObject({ status: 0, output: "" });
    expect([found(), hasNote()]).toEqual([{ pgdata: "own" }, false]);
  });

  it("not after a swap that was killed behind its renames: it is the node's data, and nothing is changed", () => {
    for (const from of ["", earlier]) {
      lay({ pgdata: "restored", [kept]: "own" });
      expect(act("discard", from, kept)).toMatchObject({
        status: 1,
        output: "what was restored is the node's data already: restore finish, and restore undo after that\n",
      });
      expect([found(), hasNote()]).toEqual([{ pgdata: "restored", [kept]: "own" }, true]);
      rmSync(join(volume, "pgdata"), { recursive: true });
      rmSync(join(volume, kept), { recursive: true });
    }
  });

  it("of an undo, before and between the renames: what was kept is kept again, and not deleted", () => {
    for (const own of ["pgdata", kept]) {
      writeFileSync(join(volume, noteFile), "{}\n");
      lay({ [own]: "own", [restoredFolder]: "earlier" });
      expect(act("discard", earlier, kept)).toMatchObject({ status: 0, output: "" });
      expect([found(), hasNote()]).toEqual([{ pgdata: "own", [earlier]: "earlier" }, false]);
      rmSync(join(volume, "pgdata"), { recursive: true });
      rmSync(join(volume, earlier), { recursive: true });
    }
  });
});

describe("a swap of data directories", () => {
  it("goes on from wherever it was killed, and done twice keeps what it has kept", () => {
    for (const [name, state] of [
      ["before", { pgdata: "own", [restoredFolder]: "restored" }],
      ["between", { [kept]: "own", [restoredFolder]: "restored" }],
      ["behind", { pgdata: "restored", [kept]: "own" }],
    ] as const) {
      lay(state);
      writeFileSync(join(volume, "superseded"), "");
      expect(act("swap", kept), name).toMatchObject({ status: 0, output: "" });
      expect([found(), hasNote()], name).toEqual([{ pgdata: "restored", [kept]: "own" }, true]);
      expect(readdirSync(volume), name).not.toContain("superseded");
      for (const folder of Object.keys(found())) rmSync(join(volume, folder), { recursive: true });
    }
  });
});
