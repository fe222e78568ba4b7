import { chmodSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectionOf, endpointsOf } from "../../components/access/endpoints";
import { planAccess } from "../../components/access/plan";
import { superuserRole } from "../../components/access/plan-items";
import { database } from "../../components/settings-rules";
import { readStack } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { tierRole, tiers } from "../../services/service";
import { FakeGitHub } from "../support/github";
import { recordedPreview, type RecordedPreview } from "../support/previews";
import { run } from "../support/run";
import { startTestServer, type TestServer } from "../support/server";

// What a workflow runs for the stacks, and a person by hand: a real server, a `pulumi` that prints what a real one has printed, and
// a server that answers as GitHub's API does.
const { settings } = readStack("dev");
const plan = planAccess(services, { database, extensions: settings.extensions });

let server: TestServer;
let github: FakeGitHub;
beforeAll(async () => {
  server = await startTestServer(plan);
  await server.superuser.query(`ALTER ROLE ${superuserRole} PASSWORD 'of the superuser'`);
  await server.apply(plan);
});
afterAll(() => server.stop());
beforeEach(async () => {
  github = new FakeGitHub();
  await github.listen();
});
afterEach(() => github.close());

/** What `pulumi` says, by stack; an error is what stands on stderr, and nothing else. */
function pulumiSays(previews: Readonly<Record<string, RecordedPreview | Error>>): NodeJS.ProcessEnv {
  const endpoints = endpointsOf({ ...settings, primaryPort: server.port });
  const connections = services.map(({ name, code }) => {
    const ofTiers = tiers.map((tier) => {
      const role = tierRole(code, tier);
      return [tier, connectionOf(role, tier, server.passwords.get(role) ?? "", endpoints)] as const;
    });
    return [name, Object.fromEntries(ofTiers)] as const;
  });
  const outputs = { endpoints, connections: Object.fromEntries(connections), superuserPassword: "of the superuser" };
  const answers = {
    outputs: JSON.stringify(outputs),
    previews: Object.fromEntries(Object.entries(previews).map(([stack, preview]) => [stack, answer(stack, preview)])),
  };
  writeFileSync(join(github.folder, "answers.json"), JSON.stringify(answers));
  const program = join(github.folder, "pulumi");
  writeFileSync(
    program,
    `#!${process.execPath}
const answers = require(${JSON.stringify(join(github.folder, "answers.json"))});
const args = process.argv.slice(2);
const stack = args[args.indexOf("--stack") + 1];
const isPreview = args[0] === "preview" && args.includes("--refresh") && args.includes("--json");
const { stdout = "", stderr = "" } = isPreview ? answers.previews[stack] : { stdout: answers.outputs };
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = stderr !== "" || stdout.includes('"severity": "error"') ? 255 : 0;
`,
  );
  chmodSync(program, 0o755);
  const PATH = [github.folder, process.env["PATH"]].join(delimiter);
  return { PATH, HOME: github.folder, PULUMI_BACKEND_URL: "file:///nowhere", PULUMI_CONFIG_PASSPHRASE: "x" };
}

/** A real preview names its stack in every URN. */
function answer(
  stack: string,
  preview: RecordedPreview | Error,
): { readonly stdout?: string; readonly stderr?: string } {
  if (preview instanceof Error) return { stderr: preview.message };
  return { stdout: recordedPreview(preview).replaceAll("urn:pulumi:dev::", `urn:pulumi:${stack}::`) };
}

describe("the preview in a pull request", () => {
  it("is one comment of all stacks, which is edited", async () => {
    const first = await github.run(
      "review-preview",
      ["dev", "prod"],
      pulumiSays({ dev: "add read", prod: "no change" }),
    );
    expect(first.status, first.output).toBe(0);
    expect(github.comments).toHaveLength(1);
    expect(github.comments[0]?.body).toMatch(
      /^<!-- centraldb: preview -->\n## Preview of stack `dev`\n\n`up` creates 10, updates 2 resources\.\n/,
    );
    expect(github.comments[0]?.body).toContain("+ GRANT USAGE ON SCHEMA gt TO agapp\n");
    expect(github.comments[0]?.body).toMatch(/\n## Preview of stack `prod`\n\nNo changes\.\n$/);

    await github.run("review-preview", ["dev"], pulumiSays({ dev: "no change" }));
    expect(github.comments.map(({ body }) => body)).toEqual([
      "<!-- centraldb: preview -->\n## Preview of stack `dev`\n\nNo changes.\n",
    ]);
  });

  it("says what up would refuse, and fails", async () => {
    const { status } = await github.run("review-preview", ["dev"], pulumiSays({ dev: "remove service" }));
    expect(status).toBe(1);
    expect(github.comments[0]?.body).toContain("`up` **would fail**.");
    expect(github.comments[0]?.body).toContain('allocator (code "al") is in the stack');
  });

  it("says why it is not known, of one stack beside the other, and fails", async () => {
    const error = new Error("warning: something\nerror: failed to decrypt <img src=x>: incorrect passphrase\n");
    const { status } = await github.run(
      "review-preview",
      ["dev", "prod"],
      pulumiSays({ dev: error, prod: "work_mem" }),
    );
    expect(status).toBe(1);
    const body = github.comments[0]?.body ?? "";
    expect(body).toContain(
      "## Preview of stack `dev`\n\nNot known: stack dev: error: failed to decrypt \\<img src=x\\>: incorrect passphrase\n",
    );
    expect(body).toContain("+ work_mem = '9MB'");
  });

  it("is not made for a stack that is not there: one line, and nobody is asked", async () => {
    const { status, output } = await github.run("review-preview", ["dev", "pord"], pulumiSays({}));
    expect(status).toBe(1);
    expect(output).toMatch(/^unknown stack "pord": there are dev, prod; .*\n$/);
    expect(github.requests).toEqual([]);
  });
});

describe("the nightly report of drift", () => {
  const report = (preview: RecordedPreview | Error) =>
    github.run("report-drift", ["dev"], pulumiSays({ dev: preview }));

  it("is no issue where nothing differs; else one, edited while it lasts, closed when it is over", async () => {
    expect(await report("no change")).toEqual({ status: 0, output: "No drift.\n" });
    expect(github.issues).toEqual([]);

    await server.superuser.query("GRANT gtown TO gtapp; GRANT SELECT ON pg_authid TO PUBLIC");
    const found = await report("drift");
    expect(found.status, found.output).toBe(0);
    const [issue] = github.issues;
    expect(issue?.title).toBe("Drift: the servers are not what the main branch says");
    expect(issue?.body).toMatch(/^<!-- centraldb: drift -->\n## Audit of stack `dev`\n\n2 places are not as planned; /);
    expect(issue?.body).toContain("| membership | gtapp | member of gtown | no | yes, by postgres |");
    expect(issue?.body).toContain(
      "| privilege | PUBLIC | SELECT on table pg\\_catalog.pg\\_authid | denied | allowed |",
    );
    expect(issue?.body).toContain("- ALTER ROLE gtapp CONNECTION LIMIT 50\n+ ALTER ROLE gtapp CONNECTION LIMIT 5\n");

    await server.superuser.query("REVOKE gtown FROM gtapp; REVOKE SELECT ON pg_authid FROM PUBLIC");
    await report("drift");
    expect(github.issues).toHaveLength(1);
    expect(issue?.body).toMatch(/^<!-- centraldb: drift -->\n## Preview of stack `dev`\n/);

    await report("no change");
    expect(github.issues.map(({ state }) => state)).toEqual(["closed"]);
    await report("drift");
    expect(github.issues.map(({ state }) => state)).toEqual(["closed", "open"]);
  });

  it("leaves issues of others alone, whatever they say", async () => {
    const body = "<!-- centraldb: drift -->\nnot ours";
    github.issues.push({ number: 1, title: "x", body, state: "open", user: { login: "somebody" } });
    await report("no change");
    await report("drift");
    expect(github.issues.map((one) => [one.state, one.body === body])).toEqual([
      ["open", true],
      ["open", false],
    ]);
  });

  it("says what it could not look at, and fails: silence would pass for peace", async () => {
    const { status } = await report(new Error("error: no stack named 'dev' found"));
    expect(status).toBe(1);
    expect(github.issues[0]?.body).toContain("Not known: stack dev: error: no stack named 'dev' found");
  });

  it("has room for a server of which nothing is as planned", async () => {
    await server.superuser.query(
      "DO $$ BEGIN FOR i IN 1..1500 LOOP EXECUTE format('CREATE ROLE %I', 'undeclared_role_number_' || i); END LOOP; END $$",
    );
    const { status } = await report("no change");
    await server.superuser.query(
      "DO $$ BEGIN FOR i IN 1..1500 LOOP EXECUTE format('DROP ROLE %I', 'undeclared_role_number_' || i); END LOOP; END $$",
    );
    expect(status).toBe(0);
    expect(github.issues[0]?.body.length).toBeLessThan(65_536);
    expect(github.issues[0]?.body).toMatch(/1500 places are not as planned[\s\S]*\nand \d+ more\.\n/);
  });
});

describe("as a person starts it,", () => {
  const ops = (...args: string[]) =>
    run(process.execPath, ["--import", "tsx", "ops/main.ts", ...args], {
      env: { ...process.env, ...pulumiSays({ dev: "no change" }) },
    });

  it("audit says in words, as JSON and as SQL what is not as planned, by its exit status too", async () => {
    const clean = ops("audit");
    expect(clean).toMatchObject({ status: 0, stdout: "stack dev is what the plan says.\n" });

    await server.superuser.query("ALTER ROLE lgapp CONNECTION LIMIT 70");
    expect(ops("audit")).toMatchObject({ status: 2 });
    const { status, stdout } = ops("audit", "--json");
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      target: "stack dev",
      triedLogins: true,
      findings: [{ kind: "role attribute", role: "lgapp", what: "connection limit", expected: "5", found: "70" }],
    });
    const sql = ops("audit", "--fix-sql").stdout;
    await server.superuser.query(sql);
    expect(ops("audit").status).toBe(0);
  });

  it.each([
    [["audit", "--sandbox", "--stack", "dev"], /cannot be used with option/],
    [["audit", "--url", "mysql://x"], /^--url: expected one like postgresql:/],
    [["audit", "--sandbox", "/nowhere"], /is not there: npm start makes it/],
    [["audit", "--url", "postgresql://postgres@127.0.0.1:1/appdb"], /does not let the superuser in: .*ECONNREFUSED/],
  ])("%j: is refused in a line, exit status 1", (args, message) => {
    const { status, output } = ops(...args);
    expect(status).toBe(1);
    expect(output).toMatch(message);
    expect(output).not.toMatch(/^\s+at /m);
  });

  const summary = (args: readonly string[], input = "") =>
    run(process.execPath, ["--import", "tsx", "ops/preview/main.ts", ...args], { input });

  it("preview:summary takes a file, or what comes in", () => {
    const text = recordedPreview("work_mem");
    const piped = summary([], text);
    expect(piped.status, piped.output).toBe(0);
    expect(piped.stdout).toContain("+ work_mem = '9MB'");
    const file = join(github.folder, "preview.json");
    writeFileSync(file, text);
    expect(summary([file])).toEqual(piped);
  });

  it.each([
    [["/nowhere.json"], "", /^\/nowhere\.json: ENOENT/],
    [[], "error: no stack selected", /^standard input: expected what pulumi preview --json prints, but /],
    [["a", "b"], "", /too many arguments/],
  ])("preview:summary %j is refused in a line, exit status 1", (args, input, message) => {
    const { status, output } = summary(args, input);
    expect(status).toBe(1);
    expect(output).toMatch(message);
    expect(output).not.toMatch(/^\s+at /m);
  });
});
