import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import fc from "fast-check";
import { Client, escapeLiteral } from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { identifier } from "../../components/access/describe";
import { planAccess } from "../../components/access/plan";
import { scramVerifier } from "../../components/access/scram";
import { renderPlan } from "../../components/access/sql";
import { postgresqlConf, renderPostgresqlConf } from "../../components/cluster/configuration/postgresql-conf";
import { parseSettings, type Settings } from "../../components/settings-rules";
import { readPasswords } from "../../ops/sandbox/credentials";
import { projectFolder, readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { tierRole, tiers, type Service } from "../../services/service";
import { hostileText, shownText, storableText } from "../support/hostile";
import { freePort, startTestServer, testPlan, type TestServer } from "../support/server";

// What a server, a shell and a replica read is what was written, whatever is in it. The registry lets no such name in; what
// renders it must not rely on that.
let server: TestServer;
beforeAll(async () => {
  const plan = testPlan(services.slice(0, 1));
  server = await startTestServer(plan);
  await server.apply(plan);
});
afterAll(() => server.stop());

/** Names PostgreSQL keeps whole: 1 to `bytes` bytes. */
const nameOf = (bytes: number) =>
  storableText
    .map((text) => Buffer.from(text).subarray(0, bytes).toString().replaceAll("\ufffd", ""))
    .filter((text) => text !== "" && Buffer.byteLength(text) <= bytes);

const one = async (sql: string, values: unknown[] = []): Promise<unknown> =>
  Object.values((await server.superuser.query<Record<string, unknown>>(sql, values)).rows[0] ?? {})[0];

describe("a name", () => {
  const comesBack = async (name: string) => {
    await server.superuser.query(
      `BEGIN; CREATE SCHEMA ${identifier(name)}; CREATE TABLE ${identifier(name)}.${identifier(name)} ()`,
    );
    const { rows } = await server.superuser.query({
      text: "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace ORDER BY c.oid DESC LIMIT 1",
      rowMode: "array",
    });
    await server.superuser.query("ROLLBACK");
    expect(rows).toEqual([[name, name]]);
  };

  it("of any characters is the name of what is created", async () => {
    await fc.assert(
      fc.asyncProperty(
        nameOf(63).filter((name) => !name.startsWith("pg_")),
        comesBack,
      ),
      { numRuns: 200 },
    );
  });

  it("that is a key word is one too", async () => {
    const { rows } = await server.superuser.query<{ word: string }>("SELECT word FROM pg_get_keywords()");
    expect(rows.length).toBeGreaterThan(400);
    for (const { word } of rows) await comesBack(word);
  });
});

describe("a literal", () => {
  it.each(["on", "off"])(
    "of any characters, up to 10,000, comes back with standard_conforming_strings %s",
    async (mode) => {
      await server.superuser.query(`SET standard_conforming_strings = ${mode}`);
      await fc.assert(
        fc.asyncProperty(storableText, async (text) => {
          expect(await one(`SELECT ${escapeLiteral(text)}`)).toBe(text);
        }),
      );
      await server.superuser.query("RESET standard_conforming_strings");
    },
  );
});

describe("a plan of odd names", () => {
  const password = "a".repeat(32);
  const logIn = async (role: string): Promise<unknown> => {
    const client = new Client({
      host: server.host,
      port: server.port,
      database: server.database,
      user: role,
      password,
    });
    await client.connect();
    try {
      return (await client.query<object>("SELECT current_user AS role, to_json(current_schemas(false)) AS path"))
        .rows[0];
    } finally {
      await client.end();
    }
  };

  it("makes the roles, schemas and search paths that bear them, and nothing else", async () => {
    const roles = "SELECT array_agg(rolname::text ORDER BY rolname) FROM pg_roles WHERE rolname <> ALL ($1)";
    const before = await one(roles, [[]]);
    const code = nameOf(58).filter(
      (name) => !name.startsWith("pg_") && !/^(extensions|platform|public|gt)$/.test(name),
    );
    await fc.assert(
      fc.asyncProperty(code, code, async (first, second) => {
        fc.pre(!second.startsWith(first) && !first.startsWith(second));
        const reads = [second];
        const odd = [first, second].map((name): Service => ({
          name,
          code: name,
          purpose: "Odd.",
          tables: [],
          ...(name === first ? { reads } : {}),
        }));
        const made = odd.flatMap(({ code }) => tiers.map((tier) => tierRole(code, tier)));
        const verifiers = new Map(made.map((role) => [role, scramVerifier(role, password)]));
        await server.superuser.query(
          renderPlan(planAccess(odd, { database: server.database, extensions: [] }), verifiers),
        );

        expect(await one(roles, [before])).toEqual(
          [...made].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        );
        const role = tierRole(first, "app");
        expect(await logIn(role)).toEqual({ role, path: [first, "extensions"] });
        expect(await one("SELECT has_schema_privilege($1, $2, 'USAGE')", [role, second])).toBe(true);

        for (const name of [first, second]) await server.superuser.query(`DROP SCHEMA ${identifier(name)}`);
        for (const name of made)
          await server.superuser.query(`DROP OWNED BY ${identifier(name)}; DROP ROLE ${identifier(name)}`);
      }),
      { numRuns: 20 },
    );
    expect(await one(roles, [[]])).toEqual(before);
  });
});

describe("a setting of a stack", () => {
  it("is refused, or PostgreSQL reads from postgresql.conf exactly what the stack's file says", async () => {
    const file = (await one("SHOW config_file")) as string;
    const original = readFileSync(file, "utf8");
    const good = readStackSettings("prod");
    const name = fc.stringMatching(/^fz\.[a-z_][a-z0-9_]{0,20}$/);
    const value = fc.oneof(hostileText, shownText, shownText, fc.double(), fc.integer(), fc.boolean());
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.oneof(name, name, name, hostileText), value, { maxKeys: 3 }),
        async (wanted) => {
          const texts: Partial<Record<keyof Settings, string>> = {
            postgresqlSettings: JSON.stringify(wanted),
            extensions: "[]",
            passwordRotation: "{}",
          };
          const textOf = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
          const settings = parseSettings((key) => texts[key] ?? textOf(good[key]), []);
          if ("length" in settings) {
            expect(settings.map(({ path }) => path)).toEqual(["centraldb:postgresqlSettings"]);
            return;
          }
          const own = postgresqlConf(settings).filter(({ reason }) => reason === "centraldb:postgresqlSettings");
          writeFileSync(file, original + renderPostgresqlConf(own));
          const { rows } = await server.superuser.query<{ name: string; setting: string; line: string }>(
            "SELECT name, setting, error FROM pg_file_settings WHERE sourceline > $1 OR name IS NULL ORDER BY sourceline",
            [original.split("\n").length],
          );
          const asText = (given: unknown) => (typeof given === "boolean" ? (given ? "on" : "off") : String(given));
          expect(rows.map((row) => [row.name, row.setting])).toEqual(
            Object.entries(wanted).map(([key, given]) => [key.toLowerCase(), asText(given)]),
          );
        },
      ),
      { numRuns: 300 },
    );
    writeFileSync(file, original);
  });
});

describe("a sandbox's folder", () => {
  it("may have any name that is printable: both servers start in it, also beside variables meant for psql", async () => {
    const parent = mkdtempSync(join(tmpdir(), "centraldb-hostile-"));
    onTestFinished(() => rmSync(parent, { recursive: true }));
    chmodSync(parent, 0o755);
    const folder = join(parent, '-x it\'s "a" \\ $(exit 7) `exit 7` ; # é日😀 %41');
    const program = ["--import", "tsx", join(projectFolder, "ops", "sandbox", "main.ts"), "--once"];
    const port = String(await freePort());
    const env = {
      ...process.env,
      PGSSLMODE: "require",
      PGOPTIONS: "-c search_path=pg_catalog",
      PGHOSTADDR: "192.0.2.1",
    };
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...program, "--port", port, "--folder", relative(projectFolder, folder)],
      { cwd: projectFolder, env, encoding: "utf8" },
    );
    expect([stderr, status]).toEqual(["", 0]);
    expect(stdout).toMatch(/^Effect test: \d{4,} attempts as 36 roles, every outcome as planned\.$/m);
    // The line it prints for a shell, as a person pastes it.
    const line = /^ {2}(set -a; .*); psql "\$GTAPP_URL"$/m.exec(stdout)?.[1] ?? "";
    const pasted = spawnSync("sh", ["-c", `${line}; printf %s "$GTAPP_PASSWORD"`], {
      cwd: projectFolder,
      encoding: "utf8",
    });
    expect(pasted.stdout).toBe(readPasswords(join(folder, "credentials.env")).get("gtapp"));
  });
});
