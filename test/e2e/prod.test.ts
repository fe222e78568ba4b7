import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { prepareStack, type TestStack } from "../support/stack";

// The stack file prod as it is, but for names, ports and image.
let stack: TestStack;
beforeAll(async () => {
  stack = await prepareStack({}, "prod");
  const { status, output } = stack.up("--skip-preview");
  expect(status, output).toBe(0);
});
afterAll(() => stack.clean());

it.each(["primary", "replica"])(
  "the %s of prod has the page's four numbers, its connections and its memory",
  (node) => {
    const container = `${stack.prefix}-${node}`;
    const show = (setting: string) =>
      execFileSync("docker", ["exec", container, "psql", "-XAtU", "app", "-d", "appdb", "-c", `SHOW ${setting}`], {
        encoding: "utf8",
      }).trim();
    expect(show("shared_buffers")).toBe("4GB");
    expect(show("effective_cache_size")).toBe("12GB");
    expect(show("work_mem")).toBe("64MB");
    expect(show("maintenance_work_mem")).toBe("1GB");
    expect(show("max_connections")).toBe("200");
    const limits = execFileSync(
      "docker",
      ["inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.ShmSize}}", container],
      {
        encoding: "utf8",
      },
    );
    expect(limits.trim()).toBe(`${16 * 1024 ** 3} ${4 * 1024 ** 3}`);
  },
);

it("prod warns of nothing, and changes nothing the second time", () => {
  const preview = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(preview.status, preview.output).toBe(0);
  expect(preview.output).not.toContain("memoryMiB");
});

const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" });
const running = () => docker("ps", "-q", "--no-trunc", "--filter", `name=${stack.prefix}`);

it.each([[["--yes"]], [["--yes", "--skip-preview"]], [["--yes", "--skip-preview", "--exclude-protected"]]])(
  "destroy %s is refused whole, with nothing stopped and nothing removed",
  (options) => {
    const before = running();
    const { output } = stack.pulumi("destroy", ...options);
    expect(output).toMatch(/protected/);
    expect(running()).toBe(before);
    const after = stack.pulumi("preview", "--refresh", "--expect-no-changes");
    expect(after.status, after.output).toBe(0);
  },
);

it("a checkout without the state changes no password, unless somebody says so", async () => {
  const before = [stack.output("superuserPassword"), running()];
  const state = join(stack.folder, ".pulumi-state", ".pulumi");
  renameSync(state, `${state}.aside`);
  for (const ran of [
    stack.up("--skip-preview"),
    stack.pulumi("up", "--yes", "--skip-preview"),
    stack.pulumi("preview"),
  ]) {
    expect(ran.status, ran.output).not.toBe(0);
    expect(ran.output).toContain("stack prod: its state is empty, and the engine has its data");
    expect(ran.output).toContain("npm run up -- prod --adopt takes the data over, with new passwords");
  }
  expect(running()).toBe(before[1]);
  const adopted = stack.up("--skip-preview", "--adopt");
  expect(adopted.status, adopted.output).toBe(0);
  expect(stack.output("superuserPassword")).not.toBe(before[0]);
  await (await stack.superuser()).end();
  const after = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(after.status, after.output).toBe(0);
});

it("wipe removes what destroy may not, after the name was typed", () => {
  const { status, output } = stack.ops("wipe", "--stack", "prod", "--confirm", "prod");
  expect(status, output).toBe(0);
  expect(docker("volume", "ls", "-q", "--filter", `name=${stack.prefix}`)).toBe("");
  expect(running()).toBe("");
});
