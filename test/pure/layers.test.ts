import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(__dirname, "..", "..");
const sources = ["services", "components", "ops"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${folder}/${file}`),
);

const imports = (file: string): string[] =>
  [...readFileSync(join(root, file), "utf8").matchAll(/from "([^"]+)"/g)].map(([, from = ""]) => from);

/** Modules of components/ that declare resources; all others there are pure. */
const declaring = sources.filter((file) => imports(file).some((from) => from.startsWith("@pulumi/")));

describe("the layers", () => {
  it("are looked at", () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(declaring.length).toBeGreaterThan(4);
  });

  it("keep Pulumi inside components/", () => {
    expect(declaring.filter((file) => !file.startsWith("components/"))).toEqual([]);
  });

  it("let nothing but a declaring module import a declaring module", () => {
    const importing = sources.filter((file) =>
      imports(file).some((from) => from.startsWith(".") && declaring.includes(`${join(file, "..", from)}.ts`)),
    );
    expect(importing.filter((file) => !declaring.includes(file))).toEqual([]);
  });

  it("let services/ import nothing of the layers above it", () => {
    const services = sources.filter((file) => file.startsWith("services/"));
    expect(services.flatMap(imports).filter((from) => from.startsWith("../"))).toEqual([]);
  });

  it("let nothing that runs outside the agent's bundle import execa, which only ES modules can", () => {
    const reached = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file) || !existsSync(join(root, file))) return;
      reached.add(file);
      // Of types nothing is left when it runs.
      const text = readFileSync(join(root, file), "utf8").replaceAll(/^import type [^;]*;/gm, "");
      for (const [, from = ""] of text.matchAll(/from "([^"]+)"/g)) {
        if (from.startsWith(".")) visit(`${join(file, "..", from)}.ts`);
        else expect(from, file).not.toBe("execa");
      }
    };
    sources.forEach(visit);
    expect(reached.size).toBeGreaterThan(sources.length);
  });
});
