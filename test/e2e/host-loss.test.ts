import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BackupList } from "../../ops/backup/list";
import { services } from "../../services/registry";
import { run, type Ran } from "../support/run";
import { loseMachine, prepareStack, type TestStack } from "../support/stack";
import { buildStandInRcloneImage, standInRcloneImage } from "../support/stand-in-image";
import { waitFor } from "../support/wait";

// A machine with its stack, lost; what is left are the repository, the second copy and the passphrase.
let copy: string;
let stack: TestStack;
let passphrase: string;
let before: { readonly list: BackupList; readonly times: readonly string[]; readonly password: string };
beforeAll(async () => {
  buildStandInRcloneImage();
  copy = mkdtempSync(join(tmpdir(), "centraldb-copy-"));
  chmodSync(copy, 0o777);
  stack = await prepareStack({
    "centraldb:extensions": ["citext"],
    "centraldb:backupCopy": copy,
    "centraldb:backupRcloneImage": standInRcloneImage,
  });
  ok(stack.up());
  await hasBase();
});
afterAll(() => {
  stack.clean();
  rmSync(copy, { recursive: true });
});

function ok({ status, output }: Ran): string {
  if (status !== 0) throw new Error(output);
  return output;
}

function list(): BackupList {
  return JSON.parse(stack.ops("backup", "list", "--json").stdout) as BackupList;
}

/** The stretch of WAL that grows has a base backup. */
const hasBase = () => waitFor(() => (list().wal.at(-1)?.bases.length ?? 0) > 0, 180);

/** All backups there are, by the agent's own word. */
const isCopied = () => {
  const { copy: state, backups } = list();
  const ids = backups.map(({ id }) => id).join();
  return state?.failed === null && state.completeAt !== null && [...state.backups].sort().join() === ids;
};

function ask(query: string, node = "primary"): string {
  const psql = ["psql", "-XAtU", "postgres", "-d", "appdb", "-c", query];
  return ok(run("docker", ["exec", `${stack.prefix}-${node}`, ...psql])).trim();
}

function passwordOf(role: string): string {
  return stack.logins(services).passwords.get(role) ?? "";
}

async function as(user: string, password: string, query: string): Promise<unknown[]> {
  const client = new Client({ host: "127.0.0.1", port: stack.port, database: "appdb", user, password });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(query)).rows;
  } finally {
    await client.end();
  }
}

/** Every file of backups and WAL with its SHA-256, but for the segment that grows. */
function sums(where: string): string {
  const files = `cd ${where} && find backups wal -type f ! -path '*.partial*' | sort | xargs sha256sum`;
  return ok(run("docker", ["exec", `${stack.prefix}-backup`, "sh", "-c", files]));
}

const times = ["-path", "*/wal/*", "-name", "*.gz", "-printf", "%f %T@\\n"];
/** When each segment of WAL came in: a point in time is refused after the last. */
const walTimes = (found: Ran) => ok(found).split("\n").filter(Boolean);

/** The commands of the README's section, for this stack. */
function documented(): readonly string[] {
  const [, section = ""] = readFileSync(join(__dirname, "..", "..", "README.md"), "utf8").split(
    "\n### When the machine is gone\n",
  );
  const [, block = ""] = /```sh\n([^]*?)```/.exec(section) ?? [];
  return block
    .split("\n")
    .map((line) => line.replace(/ +#.*$/, "").replace(/\bprod\b/, "dev"))
    .filter(Boolean);
}

/** As a person runs it, who types this and says yes. */
function type(command: string, typed: string): Ran {
  const yes = command.startsWith("npm run up") ? " --yes --non-interactive" : "";
  return run("sh", ["-c", command + yes], { cwd: stack.folder, env: stack.environment, input: `${typed}\n` });
}

describe("a stack whose machine is lost", () => {
  it("has a second copy", async () => {
    await as("gtown", passwordOf("gtown"), "CREATE TABLE gt_kept (id int PRIMARY KEY, word text)");
    await as("gtapp", passwordOf("gtapp"), "INSERT INTO gt_kept VALUES (1, 'of the lost machine')");
    const segment = ask("SELECT pg_walfile_name(pg_current_wal_insert_lsn())");
    ask("SELECT pg_switch_wal()");
    const stretch = () => list().wal.length > 0 && run("find", [copy, "-name", `${segment}.gz`]).stdout !== "";
    await waitFor(() => stretch() && isCopied(), 180);
    before = { list: list(), times: walTimes(run("find", [copy, ...times])), password: passwordOf("gtapp") };
    passphrase = readFileSync(join(stack.folder, ".pulumi-state", "passphrase"), "utf8");
    expect(run("grep", ["-rlF", passphrase, copy]).stdout).toBe("");
  });

  it("is not recovered where it lives, from another folder, or with another passphrase; nothing is changed", () => {
    const [recover = ""] = documented();
    expect(recover).toBe("npm run ops -- recover --stack dev");
    const volumes = () => run("docker", ["volume", "ls", "-q", "--filter", `name=^${stack.prefix}`]).stdout;
    const alive = type(recover, passphrase);
    expect(alive).toMatchObject({ status: 1 });
    expect(alive.output).toContain("this machine has data of stack dev");

    stack = loseMachine(stack);
    for (const [command, typed, why] of [
      [`${recover} --from ${copy}/backups`, passphrase, "is no second copy of stack dev: it has no state/dev.json"],
      [`${recover} --from ${copy}/gone`, passphrase, `the engine's machine has no folder ${copy}/gone`],
      [`${recover} --from vault:`, passphrase, "rclone copy vault: FOLDER"],
      [recover, "another", "the passphrase is not that of stack dev"],
    ] as const) {
      const refused = type(command, typed);
      expect(refused).toMatchObject({ status: 1, output: expect.stringContaining(why) as unknown });
      expect(refused.output).not.toMatch(/^\s+at /m);
    }
    expect(volumes()).toBe("");
    expect(existsSync(join(stack.folder, ".pulumi-state", "passphrase"))).toBe(false);
  });

  it("comes back by the documented commands", () => {
    const commands = documented();
    expect(commands).toHaveLength(4);
    const [recover = "", restore = "", finish = "", up = ""] = commands;
    const recovered = ok(type(recover, passphrase));
    expect(recovered).toContain(restore);
    expect(recovered).not.toContain(passphrase);
    ok(type(restore, ""));
    const inLook = ["exec", `${stack.prefix}-primary-restore`, "find", "/backups", ...times];
    expect(walTimes(run("docker", inLook)).sort()).toEqual(before.times.toSorted());
    // Once more would overwrite what is being restored.
    expect(type(recover, passphrase).output).toContain("this machine has data of stack dev");
    expect(ok(type(finish, "appdb"))).toContain("stack dev is what the plan says");
    ok(type(up, ""));
  });

  it("has its rows, passwords and rights, on both servers", async () => {
    const row = [{ id: 1, word: "of the lost machine" }];
    expect(await as("gtapp", before.password, "SELECT * FROM gt_kept")).toEqual(row);
    await as("gtapp", before.password, "INSERT INTO gt_kept VALUES (2, 'of the new one')");
    await waitFor(() => ask("SELECT count(*) FROM gt.gt_kept", "replica") === "2");
    expect(ok(stack.ops("audit"))).toContain("stack dev is what the plan says");
  });

  it("is what the program says: up changes nothing", () => {
    ok(stack.up("--skip-preview", "--expect-no-changes"));
    ok(stack.pulumi("preview", "--refresh", "--expect-no-changes"));
  });

  it("goes on with its backups and its second copy", async () => {
    await hasBase();
    ok(stack.ops("backup", "now", "logical"));
    await waitFor(isCopied, 180);
    await waitFor(() => sums("/copy") === sums("/backups"), 120);
    const { backups, copy: state } = list();
    const ids = before.list.backups.map(({ id }) => id);
    expect(backups.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    expect(backups.length).toBeGreaterThan(ids.length);
    expect(state?.to).toBe(copy);
    expect(ok(stack.ops("backup", "verify"))).toContain("are what they were when they were proven");
    const status = stack.ops("status");
    expect(status, status.output).toMatchObject({ status: 0 });
  });
});
