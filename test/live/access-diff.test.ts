import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { predictMatrix } from "../../components/access/matrix";
import { formatDocument } from "../../ops/access/document";
import { commitOf, fileAt, forkPoint } from "../../ops/access/git-file";
import { services } from "../../services/registry";
import { testPlan } from "../support/server";

// What `npm run access:diff` reads of a repository. Where there is no git it says so, and that is what is tested then.
const hasGit = spawnSync("git", ["--version"]).error === undefined;
const path = "services/access.json";
let folder: string;
const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
    cwd: folder,
    encoding: "utf8",
  });
const commit = (text: string) => {
  writeFileSync(join(folder, path), text);
  git("add", "-A");
  git("commit", "-qm", "change");
  return git("rev-parse", "HEAD").trim();
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-git-"));
  mkdirSync(join(folder, "services"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a repository", () => {
  it("gives a file as a commit has it, and the commit where two branches parted", () => {
    if (!hasGit) {
      expect(() => commitOf(folder, "--base", "main")).toThrow("git is not installed");
      return;
    }
    git("init", "-q", "-b", "main");
    writeFileSync(join(folder, "other"), "x");
    const [before] = [commit("one"), git("checkout", "-qb", "branch")];
    const branch = commit("two");
    git("checkout", "-q", "main");
    const main = commit("three");

    expect(commitOf(folder, "--base", "main")).toBe(main);
    expect(forkPoint(folder, main, branch)).toBe(before);
    expect(fileAt(folder, before, path)).toBe("one");
    expect(fileAt(folder, branch, path)).toBe("two");
    expect(fileAt(folder, branch, "services/nothing")).toBeUndefined();
    for (const ref of ["nope", "--all", "main..branch", "main:other", ""]) {
      expect(() => commitOf(folder, "--base", ref), ref).toThrow(
        "no such commit here; allowed is a branch, tag or commit",
      );
    }
    git("checkout", "-q", "--orphan", "apart");
    const apart = commit("four");
    expect(() => forkPoint(folder, main, apart)).toThrow("no common past");
  });
});

it("access.json of thousands of lines is read whole", () => {
  const text = formatDocument(predictMatrix(testPlan(services)));
  expect(text.split("\n").length).toBeGreaterThan(1000);
  if (hasGit) {
    git("checkout", "-q", "main");
    expect(fileAt(folder, commit(text), path)).toBe(text);
  }
});
