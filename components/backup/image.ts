import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const dockerfile = readFileSync(join(__dirname, "Dockerfile"), "utf8");

/** What the image is built from, by name; the same text for the same sources. */
export function buildContext(): Readonly<Record<"Dockerfile" | "agent.cjs", string>> {
  const { outputFiles } = buildSync({
    entryPoints: [join(__dirname, "..", "..", "agent", "main.ts")],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    write: false,
    logLevel: "silent",
    // Of pg's: it is not installed, and not needed.
    external: ["pg-native"],
  });
  return { Dockerfile: dockerfile, "agent.cjs": outputFiles[0]?.text ?? "" };
}

/** Another text, or another image beneath, is another tag. */
export function contextHash(context: Readonly<Record<string, string>>, ...beneath: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of [...Object.values(context), ...beneath]) hash.update(text).update("\0");
  return hash.digest("hex").slice(0, 12);
}
