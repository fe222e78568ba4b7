import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { predictMatrix } from "../../components/access/matrix";
import { formatDocument } from "../../ops/access/document";
import { commitOf, fileAt, forkPoint } from "../../ops/access/git-file";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { run } from "../support/run";
import { testPlan } from "../support/server";

// What `npm run access:diff` reads of a repository. Where there is no git it says so, and that is what is tested
// then; its command is skipped, which vitest counts.
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

describe.skipIf(!hasGit)("npm run access:diff", () => {
  const [gatherer, aggregator] = services.slice(0, 2) as [Service, Service];
  const document = (...registry: readonly Service[]) => formatDocument(predictMatrix(testPlan(registry)));
  const reading = document(gatherer, { ...aggregator, reads: ["gatherer"] });
  const diff = (...args: string[]) =>
    run(process.execPath, ["--import", "tsx", "ops/access/diff.ts", ...args], { cwd: folder });

  beforeAll(() => {
    const root = join(__dirname, "..", "..");
    for (const part of ["ops", "agent", "components", "services", "package.json", "tsconfig.json"]) {
      cpSync(join(root, part), join(folder, part), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, ".gitignore"), "node_modules");
    git("checkout", "-q", "--orphan", "program");
    commit(document(gatherer, aggregator));
    git("checkout", "-qb", "reads");
  });

  it("says what the files as they are change, committed or not, in words and as JSON", () => {
    expect(diff("--base", "program")).toMatchObject({
      status: 0,
      stdout: "## Access changes\n\nNone: every role may do what it could do before.\n",
    });
    writeFileSync(join(folder, path), reading);
    const { status, stdout } = diff("--base", "program", "--whole", "whole.md");
    expect(status).toBe(0);
    expect(stdout).toContain("| aggregator | `agapp`, `aguser` | schema `gt` | – → **USAGE** | 🔴 high |");
    expect(readFileSync(join(folder, "whole.md"), "utf8")).toBe(stdout);
    const { base, head, changes } = JSON.parse(diff("--base", "program", "--json").stdout) as Record<string, unknown>;
    expect([base, head]).toEqual([git("rev-parse", "program").trim(), null]);
    expect(changes).toContainEqual({
      ...{ effect: "gives", service: "aggregator", tier: "app", role: "agapp", type: "schema", name: "gt" },
      ...{ before: [], after: ["USAGE"], risk: "high", reasons: [expect.stringContaining("cross-service read")] },
    });
  });

  it("exits with 2 where a risk is high and it was asked to, of a commit too", () => {
    commit(reading);
    expect(diff("--base", "program", "--head", "reads", "--fail-on", "high").status).toBe(2);
    expect(diff("--base", "reads", "--head", "program", "--fail-on", "high").status).toBe(0);
    expect(diff("--base", "reads", "--head", "reads", "--fail-on", "high").status).toBe(0);
  });

  it.each([
    [[], /required option '--base <ref>' not specified/],
    [["--base", "nope"], /^--base "nope": no such commit here/],
    [["--base", "program", "--fail-on", "medium"], /Allowed choices are high/],
    [["--base", "program", "main"], /too many arguments/],
  ])("%j: is refused in a line, exit status 1", (args, message) => {
    const { status, output } = diff(...args);
    expect(status).toBe(1);
    expect(output).toMatch(message);
    expect(output).not.toMatch(/^\s+at /m);
  });

  it("says which file is no access.json, and at which commit", () => {
    const bad = commit("{}");
    const { status, output } = diff("--base", "program", "--head", bad);
    expect(status).toBe(1);
    expect(output).toContain(`services/access.json at ${bad.slice(0, 12)}`);
  });
});
