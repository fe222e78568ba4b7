import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const own = (path: string) => readFileSync(join(__dirname, path), "utf8");

const root = join(__dirname, "..", "..");
/** SQL that the agent reads from beside itself, as its modules do from beside theirs: folders of the sources, and of the image. */
const sqlFolders = { "components/access/sql": "lib/agent/sql", "ops/audit": "lib/agent", "ops/access": "lib/access" };

/** What the image is built from, by path; the same text for the same sources. */
export function buildContext(): Readonly<Record<string, string>> {
  const { outputFiles } = buildSync({
    entryPoints: [join(root, "agent", "main.ts")],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    write: false,
    logLevel: "silent",
    // Of pg's: it is not installed, and not needed.
    external: ["pg-native"],
  });
  const sql = Object.entries(sqlFolders).flatMap(([from, to]) =>
    readdirSync(join(root, from))
      .filter((name) => name.endsWith(".sql"))
      .sort()
      .map((name) => [`${to}/${name}`, readFileSync(join(root, from, name), "utf8")] as const),
  );
  return {
    Dockerfile: own("Dockerfile"),
    "lib/agent/agent.cjs": outputFiles[0]?.text ?? "",
    "lib/fetch-wal.sh": own("scripts/fetch-wal.sh"),
    ...Object.fromEntries(sql),
  };
}

/** Another text, or another image beneath, is another tag. */
export function contextHash(context: Readonly<Record<string, string>>, ...beneath: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of [...Object.values(context), ...beneath]) hash.update(text).update("\0");
  return hash.digest("hex").slice(0, 12);
}
