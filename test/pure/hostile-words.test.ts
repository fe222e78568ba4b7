import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectionOf, endpointsOf } from "../../components/access/endpoints";
import { planAccess } from "../../components/access/plan";
import { formatConnection, verifiedBy } from "../../ops/connect";
import { readPasswords, sandboxEndpoints, writePasswords } from "../../ops/sandbox/credentials";
import { parseFolder, shellWord } from "../../ops/sandbox/folder";
import { readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { expectOneLine, hostileText, refusalOf, shownText } from "../support/hostile";

// What a shell, a URL or a command makes of names, passwords and paths is what they are, or they are refused.
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-hostile-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const prod = readStackSettings("prod");
const plan = planAccess(services, { database: "appdb", extensions: [] });

/** The words a shell makes of a line. */
function shellWords(script: string, ...args: string[]): readonly string[] {
  const { stdout, stderr } = spawnSync("sh", ["-c", script, "sh", ...args], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\0").slice(0, -1);
}

describe("a connection", () => {
  it("has URLs from which user, password and database come back", () => {
    const text = hostileText.map((value) => Buffer.from(value).toString()).filter((value) => value !== "");
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const url = new URL(connectionOf(user, "app", password, { ...endpointsOf(prod), database }).url);
        expect([url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent)).toEqual([
          user,
          password,
          database,
        ]);
        expect([url.hostname, url.port, url.search, url.hash]).toEqual([
          "127.0.0.1",
          "5432",
          "?sslmode=verify-full",
          "",
        ]);
      }),
    );
  });

  it("has a path of a certificate that comes back from its URLs, and from variables in a shell", () => {
    fc.assert(
      fc.property(shownText, (path) => {
        const connection = verifiedBy(connectionOf("gtapp", "app", "a".repeat(32), endpointsOf(prod)), path);
        expect(new URL(connection.url).searchParams.get("sslrootcert")).toBe(path);
        const script = `${formatConnection(connection, "env", false)}\nprintf "%s\\0" "$PGSSLROOTCERT" "$DATABASE_URL"`;
        expect(shellWords(script)).toEqual([path, connection.url]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the credentials file", () => {
  const password = fc.oneof(
    fc.stringMatching(/^[A-Za-z0-9]{24,40}$/),
    hostileText,
    hostileText.map((text) => text.slice(0, 9) + "a".repeat(30)),
  );

  it("is refused with the line, or a shell and the program read every password as it was written", () => {
    const file = join(folder, "credentials.env");
    fc.assert(
      fc.property(password, (secret) => {
        writeFileSync(file, `GTAPP_PASSWORD=${secret}\n`);
        const refused = refusalOf(() => readPasswords(file));
        if (refused !== undefined) expect(refused).toContain("credentials.env: GTAPP_PASSWORD: expected");
        if (refused !== undefined) return;
        const passwords = readPasswords(file);
        const known = passwords.get("gtapp") ?? "";
        writePasswords(file, passwords, plan, { primary: 5432, replica: 5433 });
        const { url, multiHostUrl } = connectionOf(
          "gtapp",
          "app",
          known,
          sandboxEndpoints({ primary: 5432, replica: 5433 }),
        );
        const words = shellWords(
          'set -a; . "$1"; printf "%s\\0" "$GTAPP_PASSWORD" "$GTAPP_URL" "$GTAPP_MULTIHOST_URL"',
          file,
        );
        expect(words).toEqual([known, url, multiHostUrl]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("a folder", () => {
  it("is refused in one line, or a path that commands, shells and URLs read as it was written", () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, shownText), (text) => {
        const refused = refusalOf(() => parseFolder(text));
        if (refused !== undefined) expectOneLine(refused, /^the sandbox's folder: expected /);
        if (refused !== undefined) return;
        const path = parseFolder(text);
        expect(isAbsolute(path) && Buffer.byteLength(path) <= 900).toBe(true);
        expect(parseFolder(path)).toBe(path);
        expect(fileURLToPath(pathToFileURL(path).href)).toBe(path);
        expect(shellWords(`printf "%s\\0" ${shellWord(path)}`)).toEqual([path]);
        expect(shellWord(text)).not.toMatch(/^-/);
      }),
      { numRuns: 60 },
    );
  });
});
