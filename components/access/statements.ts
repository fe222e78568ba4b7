import { readFileSync } from "node:fs";
import { join } from "node:path";
import { escapeLiteral } from "pg";

/** Rows for a table of pg_temp; "" for none. */
export function insert(table: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const values = rows.map((row) => `(${row.map((value) => escapeLiteral(value)).join(", ")})`);
  return `INSERT INTO pg_temp.${table} VALUES\n  ${values.join(",\n  ")}`;
}

/**
 * Statements as one transaction that changes roles and rights, while nobody else does.
 * @param before run when no catalog is held yet
 */
export function transaction(statements: readonly string[], before: readonly string[] = []): string {
  const all = [
    "SET LOCAL lock_timeout = '10s'",
    sqlFile("end-catalog-locks"),
    ...before,
    sqlFile("hold-catalogs"),
    ...statements,
  ];
  const terminated = all.map((statement) => (/;\s*$/.test(statement) ? statement.trimEnd() : `${statement};`));
  // An owner can hold a lock for ever; better an error than an `up` that hangs.
  return ["BEGIN;", ...terminated, "COMMIT;", ""].join("\n");
}

/** A file of `sql/`, by name. */
export function sqlFile(name: string): string {
  return readFileSync(join(__dirname, "sql", `${name}.sql`), "utf8");
}
