import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const testFolder = join(__dirname, "..");
const lines = readFileSync(join(testFolder, "..", "docs", "threat-model.md"), "utf8").split("\n");
/** Tests named in the last column, as `[file, title]`. */
const named = lines
  .filter((line) => line.startsWith("| "))
  .flatMap((line) => [...(line.split(" | ").at(-1) ?? "").matchAll(/`([\w/-]+)` "([^"]+)"/g)])
  .map(([, file = "", title = ""]): [string, string] => [file, title]);
const source = (file: string) => {
  const path = join(testFolder, `${file}.test.ts`);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
};

describe("the threat model", () => {
  it.each(named)("names a test that exists: %s %s", (file, title) => {
    expect(source(file)).toContain(`"${title}"`);
  });

  it("says of every attack whether it is impossible, limited or open, and names a test but where it says it was done by hand", () => {
    const rows = lines.filter((line) => line.startsWith("| ") && !line.startsWith("| attack "));
    expect(rows.length).toBeGreaterThan(50);
    const results = rows.map((line) => line.split(" | ")[1] ?? "");
    expect(results.filter((result) => !/^(impossible|limited|open)\b/.test(result))).toEqual([]);
    const untried = rows.filter((line) => line.endsWith("| – |")).map((line) => line.split(" | ")[1] ?? "");
    expect(untried.filter((result) => !/by hand|not limited/.test(result))).toEqual([]);
  });

  it("knows every file of attacks", () => {
    const files = readdirSync(join(testFolder, "live", "attacks")).map((name) => name.replace(".test.ts", ""));
    expect(files.filter((file) => !named.some(([name]) => name === `live/attacks/${file}`))).toEqual([]);
  });
});
