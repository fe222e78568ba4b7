import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A query of this folder, without `.sql`. */
export function sqlFile(name: string): string {
  return readFileSync(join(__dirname, `${name}.sql`), "utf8");
}
