import { describe, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import type { Finding } from "../../ops/audit/finding";
import { atMost } from "../../ops/audit/most";
import { renderFindings } from "../../ops/audit/render";
import { auditPage } from "../../ops/github/audit-page";
import { services } from "../../services/registry";

const finding = (what: string): Finding => ({
  ...{ kind: "role", role: "gtapp", what, expected: "none", found: "there", fix: [] },
});
const rowsIn = (page: string) => page.split("\n").filter((line) => line.startsWith("| role | gtapp ")).length;

describe("what an audit has found, in an issue", () => {
  it("is a row each", () => {
    expect(auditPage("dev", [finding("first"), finding("a|b")], 1000)).toBe(
      "## Audit of stack `dev`\n\n2 places are not as planned; `npm run ops -- audit --stack dev --fix-sql` prints what repairs them.\n\n" +
        "| kind | role | what | expected | found |\n| --- | --- | --- | --- | --- |\n" +
        "| role | gtapp | first | none | there |\n| role | gtapp | a\\|b | none | there |\n",
    );
  });

  it("has as many rows as there is room for, and counts the rest, however many an owner makes", () => {
    const page = auditPage(
      "dev",
      Array.from({ length: 20_000 }, (_, index) => finding(`number ${index}`)),
      30_000,
    );
    const shown = rowsIn(page);
    expect(page).toContain("\n20000 places are not as planned; ");
    expect(
      page.endsWith(`| role | gtapp | number ${shown - 1} | none | there |\n\nand ${20_000 - shown} more.\n`),
    ).toBe(true);
    expect(page.length).toBeLessThanOrEqual(30_000);
    // Another row, with its end, would have been too much.
    expect(page.length + `| role | gtapp | number ${shown} | none | there |\n`.length).toBeGreaterThan(30_000);
  });
});

describe("what an audit has found, on a terminal", () => {
  it("is a line each, however many an owner makes", () => {
    const lines = renderFindings(
      Array.from({ length: 200_000 }, (_, index) => finding(`number ${index}`)),
      "stack dev",
      true,
    ).split("\n");
    expect(lines[0]).toBe("kind  role   what           expected  found");
    expect(lines[200_000]).toBe("role  gtapp  number 199999  none      there");
    expect(lines.at(-1)).toBe("200000 findings on stack dev. --fix-sql prints what repairs them.");
  });

  it("is as long as what it says, also where one name is longer than others", () => {
    const long = "n".repeat(10_000);
    const rows = [finding(long), ...Array.from({ length: 100_000 }, (_, index) => finding(`number ${index}`))];
    const lines = renderFindings(rows, "stack dev", true).split("\n");
    expect(lines[1]).toBe(`role  gtapp  ${long}  none      there`);
    expect(lines[2]).toBe(`role  gtapp  ${"number 0".padEnd(120)}  none      there`);
  });
});

describe("what an audit has found of one service", () => {
  const plan = planAccess(services, { database: "appdb", extensions: [] });

  it("is told a thousand times, and counted beyond that; of others, and of nobody, all is told", () => {
    const many = Array.from({ length: 1500 }, (_, index) => finding(`number ${index}`));
    const others = ["agapp", "", "PUBLIC"].map((role) => ({ ...finding("other"), role }));
    const told = atMost([...many, ...others], plan);
    expect(told.slice(0, 1000)).toEqual(many.slice(0, 1000));
    expect(told.slice(1000, -1)).toEqual(others);
    expect(told.at(-1)).toMatchObject({ kind: "not told", schema: "gt", what: "500 more of service gt" });
    expect(atMost([...many.slice(0, 1000), ...others], plan)).toHaveLength(1003);
    const unknown = { ...finding("the privileges in schema gt"), kind: "not audited" };
    expect(atMost([...many, unknown], plan)).toContain(unknown);
  });
});
