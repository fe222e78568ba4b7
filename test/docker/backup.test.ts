import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../agent/manifest";
import { services } from "../../services/registry";
import { prepareCluster, waitFor, type TestCluster } from "../support/cluster";
import { run } from "../support/run";

// The agent in its container, with real tools on real servers.
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
});
afterAll(() => cluster.clean());

const container = () => cluster.names.backup.container;
const agent = (...args: string[]) =>
  run("docker", ["exec", container(), "node", "/usr/local/lib/centraldb/agent.cjs", ...args]);

interface List {
  readonly backups: readonly (Manifest & { readonly pinned: boolean })[];
  readonly broken: readonly unknown[];
  readonly wal: readonly { readonly segments: number; readonly last: string | null }[];
}
const list = () => JSON.parse(agent("list").stdout) as List;

describe("a new stack", () => {
  it("has a proven logical and a physical backup by itself, and receives WAL", async () => {
    await waitFor(() => list().backups.length === 2, 60);
    const { backups, broken } = list();
    expect(broken).toEqual([]);
    expect(backups.map(({ kind, classes }) => ({ kind, classes }))).toEqual([
      { kind: "logical", classes: ["daily", "weekly", "monthly"] },
      { kind: "physical", classes: ["weekly", "monthly"] },
    ]);
    await waitFor(() => agent("health").status === 0);
  });
});
