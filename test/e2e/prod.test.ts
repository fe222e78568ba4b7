import { execFileSync } from "node:child_process";
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

it("prod warns of nothing, changes nothing the second time, and refuses destroy whole", () => {
  const preview = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(preview.status, preview.output).toBe(0);
  expect(preview.output).not.toContain("memoryMiB");
  const running = () => execFileSync("docker", ["ps", "-q", "--filter", `name=${stack.prefix}`], { encoding: "utf8" });
  const before = running();
  const { status, output } = stack.pulumi("destroy", "--yes");
  expect(status).not.toBe(0);
  expect(output).toContain("protect");
  expect(running()).toBe(before);
});
