import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
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

it("another stack with the same names is refused: it would take the data over, and its destroy would remove them", () => {
  const dev = readFileSync(join(stack.folder, "Pulumi.prod.yaml"), "utf8");
  writeFileSync(join(stack.folder, "Pulumi.dev.yaml"), dev.replace(/protect: .*/, "protect: false"));
  const before = running();
  const other = stack.upOf("dev", "--skip-preview", "--adopt");
  expect(other.status, other.output).not.toBe(0);
  expect(other.output).toContain(
    `the container ${stack.prefix}-primary is of stack "prod": give this stack another prefix`,
  );
  const wiped = stack.ops("wipe", "--stack", "dev", "--confirm", "dev");
  expect(wiped.output).toContain(`${stack.prefix}-primary is of stack prod, not of stack dev`);
  expect(running()).toBe(before);
});

it("wipe removes what destroy may not, after the name was typed", () => {
  const { status, output } = stack.ops("wipe", "--stack", "prod", "--confirm", "prod");
  expect(status, output).toBe(0);
  expect(docker("volume", "ls", "-q", "--filter", `name=${stack.prefix}`)).toBe("");
  expect(running()).toBe("");
});
