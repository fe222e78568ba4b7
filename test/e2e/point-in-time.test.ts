import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseBackupList } from "../../ops/backup/list";
import { run, type Ran } from "../support/run";
import { prepareStack, type TestStack } from "../support/stack";
import { waitFor } from "../support/wait";

// A stack that goes back in time: pulumi must find nothing to do afterwards.
let stack: TestStack;
beforeAll(async () => {
  stack = await prepareStack({ "centraldb:extensions": ["citext"] });
  ok(stack.up());
  await hasBase();
  // It recovers to the end of the WAL there is: what a test does then it would find.
  await waitFor(() => listed().drills.length > 0, 300);
});
afterAll(() => stack.clean());

function ok({ status, output }: Ran): string {
  if (status !== 0) throw new Error(output);
  return output;
}

const listed = () => parseBackupList(ok(stack.ops("backup", "list", "--json")));

/** The stretch of WAL that grows has a base backup. */
async function hasBase(): Promise<void> {
  await waitFor(() => (listed().wal.at(-1)?.bases.length ?? 0) > 0, 120);
}

function ask(query: string, node = "primary"): string {
  const psql = ["psql", "-XAtU", "postgres", "-d", "appdb", "-c", query];
  return ok(run("docker", ["exec", `${stack.prefix}-${node}`, ...psql])).trim();
}

function expectNoDrift(): void {
  const drift = stack.pulumi("preview", "--refresh", "--expect-no-changes");
  expect(drift.status, drift.output).toBe(0);
}

describe("a stack that goes back in time", () => {
  it("is what the program says: up changes nothing, the audit finds nothing", async () => {
    ask("SET ROLE gtown; CREATE TABLE gt.gt_kept (id int); INSERT INTO gt.gt_kept VALUES (1)");
    const time = ask("SELECT pg_sleep(0.1); SELECT now()").trim();
    ask("DROP TABLE gt.gt_kept; ALTER ROLE gtuser VALID UNTIL '2020-01-01'");
    ask("SELECT pg_logical_emit_message(true, 'test', 'something newer')");
    await waitFor(() => !stack.ops("restore", "--to-time", time).output.includes("cannot be reached"), 60);
    const finished = stack.ops("restore", "finish", "--yes", "appdb");
    expect(finished, finished.output).toMatchObject({ status: 0 });
    expect(finished.output).toContain("stack dev is what the plan says");
    expect(ask("SELECT id FROM gt.gt_kept")).toBe("1");
    expectNoDrift();
    expect(ok(stack.up())).toMatch(/\d+ unchanged/);
    await hasBase();
    const status = stack.ops("status");
    expect(status, status.output).toMatchObject({ status: 0 });
  });

  it("comes back when containers and data volumes are gone", async () => {
    ask("SELECT pg_logical_emit_message(true, 'test', 'so that something is received')");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    for (const node of ["primary", "replica"]) {
      run("docker", ["rm", "-f", `${stack.prefix}-${node}`]);
      ok(run("docker", ["volume", "rm", `${stack.prefix}-${node}-data`]));
    }
    expect(stack.up().output).toContain("are gone, and with them the data");
    const refused = stack.ops("restore", "--to-latest");
    const [, create = ""] = /: (docker volume create .*), then again/.exec(refused.output) ?? [];
    expect(create, refused.output).toContain("--label centraldb.stack=dev");
    ok(run("sh", ["-c", create]));
    ok(stack.ops("restore", "--to-latest"));
    const half = stack.ops("restore", "finish", "--yes", "appdb");
    expect(half, half.output).toMatchObject({ status: 1 });
    expect(half.output).toContain("does not exist: npm run up -- dev makes it");
    ok(stack.up());
    const finished = stack.ops("restore", "finish");
    expect(finished, finished.output).toMatchObject({ status: 0 });
    expect(ask("SELECT id FROM gt.gt_kept")).toBe("1");
    await waitFor(() => ask("SELECT id FROM gt.gt_kept", "replica") === "1");
    expectNoDrift();
  });
});
