import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endSessionsOfService } from "../../ops/end-sessions";
import { collectStatus } from "../../ops/status/collect";
import { services } from "../../services/registry";
import { logIn, prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";

// What a taken-over gatherer does with a session that answers no signal, or has more in its memory than others: a minute each.
const [gatherer, ...others] = services.slice(0, 2);
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 2));
  expect(await cluster.up()).toEqual({ status: 0, stdout: "", output: "" });
});
afterAll(() => cluster.clean());

describe("a session of a hundred thousand savepoints", () => {
  it("a report of 130,000 nested savepoints does not end the server", async () => {
    // With less it runs out of memory before that, and writes of it into the log for minutes.
    expect(await cluster.up({ memoryMiB: 8192 })).toMatchObject({ status: 0 });
    const started = cluster.ask("primary", "SELECT pg_postmaster_start_time()");
    const user = await cluster.login("primary", "gtuser");
    await user.query("SET statement_timeout = 0; BEGIN");
    for (let left = 13; left > 0; left--) await user.query("SAVEPOINT s;".repeat(10_000));
    await user.query("SET client_min_messages = debug5");
    await user.query("SAVEPOINT last");
    await user.end();
    expect(cluster.ask("primary", "SELECT pg_postmaster_start_time()")).toBe(started);
    expect(cluster.logs("primary")).not.toContain("terminated by signal");
  });
});

describe("a session that does not take an error of megabytes", () => {
  it("holds what every login needs, and is ended by no signal but end-sessions' last, at which the server ends everybody's", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("SET statement_timeout = 0; CREATE TABLE gt_list (id int) PARTITION BY LIST (id)");
    const { stream } = (owner as unknown as { readonly connection: { readonly stream: Socket } }).connection;
    stream.pause();
    const attach = "ALTER TABLE gt_list ATTACH PARTITION pg_catalog.pg_authid FOR VALUES IN (1)";
    // PostgreSQL says in which statement it was, and dies in the middle of no error.
    const failed = owner
      .query(`DO $$ BEGIN EXECUTE '${attach} /*' || repeat('x', 60000000) || '*/'; END $$`)
      .catch((error: unknown) => String(error));
    if (gatherer === undefined) throw new Error("the registry is too short");
    const stack = { name: "dev", settings: cluster.settings, dockerHost: undefined };
    await waitFor(async () => (await logIn(cluster, "agapp")) !== "let in");
    expect(collectStatus(stack)[0]?.error).toMatch(/timeout expired; a service may hold what every login needs, /);
    expect(() => endSessionsOfService(gatherer, ["owner"], stack, () => undefined)).toThrow(
      /^sessions on .*-primary go on: 1 of 1 have not ended after 10 s: .* with --kill ends them, and the server everybody's$/,
    );
    const freeze = [{ ...gatherer, lifecycle: "frozen" as const }, ...others];
    const { status, output } = await cluster.up({}, freeze);
    expect([status, output]).toEqual([
      1,
      expect.stringMatching(/^frozen services are let in no more, but have sessions: /),
    ]);
    const said: string[] = [];
    endSessionsOfService(gatherer, ["owner"], stack, (text) => said.push(text), { kill: true });
    expect(said[0]).toBe(`${cluster.names.primary.container}: ended 1 sessions of gtown`);
    stream.resume();
    expect(await failed).toContain("Connection terminated");
    await waitFor(async () => (await logIn(cluster, "agapp")) === "let in");
    expect(await cluster.up({}, freeze)).toMatchObject({ status: 0 });
    expect(await logIn(cluster, "gtown")).toContain("pg_hba.conf rejects connection");
    expect(await cluster.up()).toMatchObject({ status: 0 });
    cluster.ask("primary", "DROP TABLE gt.gt_list");
  });
});
