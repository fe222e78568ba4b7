import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { predictMatrix, type AccessMatrix } from "../../components/access/matrix";
import { planAccess } from "../../components/access/plan";
import { compareAccess } from "../../ops/access/changes";
import { assessAll, commentLimit, formatChanges, type AssessedChange } from "../../ops/access/diff-page";
import { code } from "../../ops/markdown";
import { serviceSchemas } from "../../ops/access/risk";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { unprintable } from "../support/hostile";

const [gatherer, aggregator] = services.slice(0, 2) as [Service, Service];
const matrixOf = (...registry: readonly Service[]) =>
  predictMatrix(planAccess(registry, { database: "appdb", extensions: ["citext"] }));
const base = matrixOf(gatherer, aggregator);

function changes(before: AccessMatrix, after: AccessMatrix): readonly AssessedChange[] {
  return assessAll(compareAccess(before, after), serviceSchemas([...before.roles, ...after.roles]));
}

const readme = () => readFileSync(join(__dirname, "..", "..", "README.md"), "utf8");

/** `+ high gtapp table gt.gt_raw_data: SELECT → SELECT, TRUNCATE (write gained)` */
function lines(before: AccessMatrix, after: AccessMatrix): readonly string[] {
  return changes(before, after).map(
    ({ effect, risk, role, type, name, before: old, after: now, reasons }) =>
      `${effect === "gives" ? "+" : "-"} ${risk} ${role} ${type} ${name}: ${old.join(", ")} → ${now.join(", ")} (${reasons.join("; ")})`,
  );
}

/** The matrix with more rows, which no registry means. */
function withRight(role: string, type: string, name: string, privileges: readonly string[], grantable = false) {
  return { ...base, access: [...base.access, { role, type, name, source: "grant", privileges, grantable }] };
}

function withRole(role: string, change: Partial<AccessMatrix["roles"][number]>): AccessMatrix {
  return { ...base, roles: base.roles.map((row) => (row.role === role ? { ...row, ...change } : row)) };
}

describe("what a branch changes of who may do what", () => {
  it("is nothing where the registry is the same, and is said so", () => {
    expect(changes(base, matrixOf(gatherer, aggregator))).toEqual([]);
    expect(formatChanges([], { whole: "x" })).toBe(
      "## Access changes\n\nNone: every role may do what it could do before.\n",
    );
  });

  it("names each read of another service, high, and what its readers lose for it", () => {
    const reads = matrixOf(gatherer, { ...aggregator, reads: ["gatherer"] });
    const why = "cross-service read: trust in both directions, its views run with the reader's rights";
    const given = ["agapp", "aguser"].flatMap((role) => [
      `+ high ${role} schema gt:  → USAGE (${why})`,
      `+ high ${role} table gt.gt_raw_data:  → SELECT (${why})`,
      `+ high ${role} table gt.gt_sources:  → SELECT (${why})`,
      `+ high ${role} future sequences gtown in schema gt:  → SELECT (${why})`,
      `+ high ${role} future tables gtown in schema gt:  → SELECT (${why})`,
    ]);
    const found = lines(base, reads);
    expect(found.filter((line) => line.startsWith("+")).sort()).toEqual(given.sort());
    expect(found).toContain(
      "- low agapp function pg_catalog.current_query(): EXECUTE →  (whoever relies on it gets an error)",
    );
    // The way back: the same, taken.
    expect(
      lines(reads, base)
        .filter((line) => line.startsWith("-"))
        .sort(),
    ).toEqual(
      given
        .map((line) =>
          line.replace(/^\+ high (.*): {2}→ (\w+) .*$/, "- low $1: $2 →  (whoever relies on it gets an error)"),
        )
        .sort(),
    );
  });

  it("of a new service is three logins with all they are, and rights as every service has them", () => {
    const more = { name: "invoicer", code: "iv", purpose: "Writes invoices.", tables: ["iv_invoices"] };
    const found = changes(base, matrixOf(gatherer, aggregator, more));
    expect(
      found.filter(({ risk }) => risk !== "low").map(({ role, reasons, after }) => [role, reasons, after]),
    ).toEqual([
      ["ivown", ["new login"], expect.arrayContaining(["LOGIN", "connections: 2"])],
      ["ivapp", ["new login"], expect.arrayContaining(["LOGIN", "connections: 5", "statement_timeout=30000"])],
      ["ivuser", ["new login"], expect.arrayContaining(["default_transaction_read_only=on"])],
    ]);
    expect(new Set(found.map(({ effect }) => effect))).toEqual(new Set(["gives"]));
    const gone = changes(matrixOf(gatherer, aggregator, more), base);
    expect(new Set(gone.map(({ effect }) => effect))).toEqual(new Set(["takes"]));
    expect(new Set(gone.flatMap(({ reasons }) => reasons))).toEqual(
      new Set(["nobody can log in as it any more", "goes with its role", "goes with the object"]),
    );
  });

  it.each<[string, Partial<Service>, string]>([
    ["a limit", { connectionLimits: { app: 9 } }, "+ medium gtapp connections : 5 → 9 (limit raised)"],
    ["a smaller limit", { connectionLimits: { app: 1 } }, "- low gtapp connections : 5 → 1 (held back sooner)"],
    [
      "a timeout",
      { statementTimeoutSeconds: 60 },
      "+ low gtapp setting statement_timeout: 30000 → 60000 (timeout raised)",
    ],
    ["disk", { tempFileLimitMiB: 2048 }, "+ medium gtown setting temp_file_limit: 1024MB → 2048MB (limit raised)"],
    ["a freeze", { lifecycle: "frozen" }, "- medium gtuser attributes : LOGIN →  (nobody can log in as it any more)"],
  ])("tells %s", (_, change, line) => {
    expect(lines(base, matrixOf({ ...gatherer, ...change }, aggregator))).toContain(line);
  });

  it("tells what only a changed plan could bring: to PUBLIC, past the tiers, past the grants", () => {
    const without = { ...base, access: base.access.filter(({ name }) => name !== "pg_catalog.lo_create(oid)") };
    expect(lines(base, without)).toContain(
      "+ high PUBLIC function pg_catalog.lo_create(oid):  → EXECUTE (PUBLIC: every role has it; a function, view or language that PUBLIC lost for a reason: see services/ACCESS.md)",
    );
    const [line] = lines(base, withRight("PUBLIC", "table", "gt.gt_raw_data", ["SELECT"]));
    expect(line).toBe("+ high PUBLIC table gt.gt_raw_data:  → SELECT (PUBLIC: every role has it)");
    const of = (matrix: AccessMatrix) => lines(base, matrix)[0]?.replace(/^.*\((.*)\)$/, "$1");
    expect(of(withRight("gtuser", "table", "gt.gt_raw_data", ["INSERT"]))).toBe(
      "write gained by a tier that only reads",
    );
    expect(of(withRight("gtapp", "table", "gt.gt_raw_data", ["TRUNCATE"]))).toBe("write gained");
    expect(of(withRight("gtapp", "table", "ag.ag_results", ["DELETE"]))).toBe("write to another service gained");
    expect(of(withRight("gtapp", "role", "pg_monitor", ["INHERIT", "SET"]))).toBe(
      "membership: every right of that role, now and later",
    );
    expect(of(withRight("gtapp", "table", "gt.gt_raw_data", ["SELECT"], true))).toBe(
      "may be granted on, past services/registry.ts",
    );
    expect(of(withRight("repl", "table", "gt.gt_raw_data", ["SELECT"]))).toBe(
      "a role of the platform, not of a service",
    );
    expect(of(withRole("gtapp", { attributes: ["LOGIN", "SUPERUSER"] }))).toBe("the role can get past every grant");
    expect(of(withRole("gtapp", { settings: ["search_path=ag, extensions"] }))).toContain("timeout removed");
    const paths = lines(base, withRole("gtapp", { settings: ["search_path=gt, ag, extensions"] }));
    expect(paths.find((line) => line.includes("search_path"))).toContain("+ high gtapp setting search_path");
    expect(lines(base, withRole("gtuser", { settings: [] })).filter((line) => line.startsWith("+ medium"))).toEqual([
      "+ medium gtuser setting default_transaction_read_only: on → not set (setting of the role changed)",
      "+ medium gtuser setting idle_in_transaction_session_timeout: 60000 → not set (timeout removed)",
      "+ medium gtuser setting lock_timeout: 10s → not set (timeout removed)",
      "+ medium gtuser setting statement_timeout: 30000 → not set (timeout removed)",
      "+ medium gtuser setting temp_file_limit: 1024MB → not set (limit removed)",
    ]);
  });

  it("has a new owner's routines open to everybody where nothing takes them", () => {
    const more = matrixOf(gatherer, aggregator, { name: "invoicer", code: "iv", purpose: "Invoices.", tables: [] });
    const open = { ...more, access: more.access.filter(({ name }) => name !== "ivown") };
    expect(lines(base, open)).toContain("+ high PUBLIC future routines ivown:  → EXECUTE (PUBLIC: every role has it)");
    expect(lines(base, more).filter((line) => line.includes("PUBLIC"))).toEqual([]);
  });

  it("that came and went on one object stands in both tables", () => {
    const before = withRight("gtuser", "view", "gt.gt_view", ["SELECT"]);
    const after = withRight("gtuser", "view", "gt.gt_view", ["UPDATE"]);
    const page = formatChanges(changes(before, after), { whole: "x" });
    expect(page).toContain("| gatherer | `gtuser` | view `gt.gt_view` | ~~SELECT~~ → UPDATE | ⚪ low |");
    expect(page).toContain("| gatherer | `gtuser` | view `gt.gt_view` | SELECT → **UPDATE** | 🔴 high |");
  });

  it("fits into a comment: the tally stays, then what is taken, and it says where the rest is", () => {
    const many = Array.from({ length: 40 }, (_, index) => ({
      name: `service-${index}`,
      code: index
        .toString(26)
        .replace(/./g, (digit) => "abcdefghijklmnopqrstuvwxyz".charAt(parseInt(digit, 26)))
        .padStart(4, "z"),
      purpose: "One of many.",
      tables: [],
    }));
    const added = formatChanges(changes(base, matrixOf(gatherer, ...many)), { whole: "the artifact" });
    expect(added.length).toBeLessThanOrEqual(commentLimit);
    expect(added).toContain("**Given to ");
    expect(added).toContain("| aggregator | `agown`, `agapp`, `aguser` | database `appdb` | ~~CONNECT~~ → – |");
    expect(added).toMatch(
      /\*\*Too long for a comment\*\*: \d+ lines of what is given are left out\. All of it: the artifact\.\n$/,
    );
    const removed = formatChanges(changes(matrixOf(gatherer, ...many), base), { whole: "the artifact" });
    expect(removed.length).toBeLessThanOrEqual(commentLimit);
    expect(removed).toMatch(/: \d+ lines of what is taken and \d+ lines of what is given are left out/);
  });

  it("fits however many lines a pull request makes", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => ({
      ...{ effect: "takes" as const, role: `role${index}`, of: undefined, scope: "right" as const },
      ...{ type: "table", name: `gt.gt_${index}`, before: ["SELECT"], after: [] },
    }));
    const page = formatChanges(assessAll(many, new Set()), { whole: "x" });
    const shown = page.split("\n").filter((line) => line.includes("table `gt.gt_")).length;
    expect(page).toContain("**Taken from 20000 roles**: 20000 rights.");
    expect(page).toContain(`| \`role${shown - 1}\` | table`);
    expect(page).toContain(`: ${20_000 - shown} lines of what is taken and 0 lines of what is given are left out.`);
    expect(page.length).toBeLessThanOrEqual(commentLimit);
    expect(page.length).toBeGreaterThan(commentLimit - 200); // another line would have been too much
  });

  it("shows hostile names as text: no markup, no mention, no line of its own", () => {
    const hostile = "`@team`|<img src=x>\n# [x](y)";
    const after = {
      roles: [
        ...base.roles,
        { role: hostile, service: hostile, tier: null, attributes: [hostile], connectionLimit: 1, settings: [] },
      ],
      access: [
        { role: hostile, type: hostile, name: hostile, source: hostile, privileges: [hostile], grantable: false },
      ],
    };
    const page = formatChanges(changes(base, after), { whole: "x" });
    for (const row of page.split("\n").filter((line) => line.includes("team"))) {
      expect(row.replaceAll(/`` .*? ``/g, "").match(/(?<!\\)[<[\]]|@/g) ?? []).toEqual([]);
      expect(row.replaceAll("\\|", "").split("|")).toHaveLength(8);
    }
  });

  it("shows what turns the writing, ends a line or is a link as what it is", () => {
    const odd = "gt\u202e)neddih(\u2066 \u2028\u001b[2J https://a.example www.b.example $x$ &lt; c@d.example";
    const page = formatChanges(
      changes(base, {
        roles: [
          ...base.roles,
          { role: odd, service: odd, tier: null, attributes: [odd], connectionLimit: 1, settings: [odd] },
        ],
        access: [{ role: odd, type: odd, name: odd, source: odd, privileges: [odd], grantable: false }],
      }),
      { whole: "x" },
    );
    expect(page.replaceAll("\n", "")).not.toMatch(unprintable);
    const [row = ""] = page.split("\n").filter((line) => line.includes("neddih"));
    expect(row).toContain(
      "| gt\\\\u202e)neddih(\\\\u2066 \\\\u2028\\\\x1b\\[2J https:&#8203;//a.example www&#8203;.b.example ",
    );
    expect(row).toContain(
      " &#36;x&#36; \\&lt; c&#64;&#8203;d.example | `gt\\u202e)neddih(\\u2066 \\u2028\\x1b[2J https://a.example ",
    );
    expect(page.replaceAll(/`[^`]*`/g, "")).not.toMatch(/:\/\/|www\.|@|[^\\]&lt;/);
  });

  it("keeps a pipe in its cell, also behind a backslash", () => {
    expect(["a|b", "a\\|b", "a\\\\|b"].map(code)).toEqual(["`a\\|b`", "`a\\\\\\|b`", "`a\\\\\\\\\\|b`"]);
  });

  it("stands in the README as it is", () => {
    const page = formatChanges(
      changes(base, matrixOf(gatherer, { ...aggregator, reads: ["gatherer"], connectionLimits: { app: 9 } })),
      { whole: "x" },
    );
    const [, shown] = /<!-- access:diff [^>]*-->\n(.*)\n<!-- \/access:diff -->/s.exec(readme()) ?? [];
    const quoted = page.trimEnd().replaceAll(/^/gm, "> ").replaceAll(/ +$/gm, "");
    expect(shown, `README.md should show:\n${quoted}\n`).toBe(quoted);
  });
});
