import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import { scramVerifier } from "../../components/access/scram";
import { services } from "../../services/registry";
import { completePasswords, readPasswords, writePasswords } from "../../ops/sandbox/credentials";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "centraldb-credentials-"))));
afterEach(() => rmSync(folder, { recursive: true }));

describe("the credentials file", () => {
  it("is read back as it was written, and only its owner may read it", () => {
    const file = join(folder, "credentials.env");
    writeFileSync(`${file}.new`, "left by a killed run", { mode: 0o644 });
    const passwords = completePasswords(new Map(), ["postgres", "gtown", "gtuser"]);
    writePasswords(file, passwords, planAccess(services, { database: "appdb", extensions: [] }), {
      primary: 5432,
      replica: 5433,
    });
    expect(readPasswords(file)).toEqual(passwords);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toContain(
      `GTOWN_URL=postgresql://gtown:${passwords.get("gtown") ?? ""}@127.0.0.1:5432/appdb`,
    );
    expect(readFileSync(file, "utf8")).toContain(
      `GTUSER_MULTIHOST_URL='postgresql://gtuser:${passwords.get("gtuser") ?? ""}@127.0.0.1:5432,127.0.0.1:5433/appdb?target_session_attrs=prefer-standby'`,
    );
  });

  it("is refused with the line where somebody put in a password of their own", () => {
    const file = join(folder, "credentials.env");
    writeFileSync(file, "GTOWN_PASSWORD=secret\n");
    expect(() => readPasswords(file)).toThrow(
      `${file}: GTOWN_PASSWORD: expected a generated one, at least 24 ASCII letters and digits: put it back, or remove the line and npm start makes a new one`,
    );
  });

  it("keeps every password it has and adds the missing ones", () => {
    const known = new Map([["gtown", "known"]]);
    const completed = completePasswords(known, ["gtown", "gtapp"]);
    expect(completed.get("gtown")).toBe("known");
    expect(completed.get("gtapp")).toMatch(/^[A-Za-z0-9]{32}$/);
  });
});

describe("a SCRAM verifier", () => {
  const password = "abcdefghijklmnopqrstuvwxyz012345";

  it("is the same for the same role and password, and another for another role", () => {
    expect(scramVerifier("gtown", password)).toBe(scramVerifier("gtown", password));
    expect(scramVerifier("gtown", password)).not.toBe(scramVerifier("gtapp", password));
    expect(scramVerifier("gtown", password)).toMatch(/^SCRAM-SHA-256\$4096:[\w+/]{22}==\$[\w+/]{43}=:[\w+/]{43}=$/);
  });

  it.each(["short", "with spaces in it, long enough", "päßwörtermitumlautenundlang"])(
    "is not made of %s, which nobody generated",
    (bad) => {
      expect(() => scramVerifier("gtown", bad)).toThrow("must be generated");
    },
  );
});
