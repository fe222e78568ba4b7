import { escapeLiteral } from "pg";
import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { identifier } from "./describe";
import { insert, sqlFile, transaction } from "./statements";

/** What is there of services that are to be dropped, and what speaks against it, as JSON: `FoundRetired` of components/lifecycle/retired.ts. */
export function retiredQuery(service: Pick<ResolvedService, "code">): string {
  const statements = ["BEGIN", ...retiredRows(service), sqlFile("retired-begun"), sqlFile("retired-found"), "ROLLBACK"];
  return statements.map((statement) => statement.replace(/;?\s*$/, ";\n")).join("");
}

/**
 * Drops a service's schema and roles, with all there is in it, or as much as the server has locks for, as one transaction for a superuser:
 * again while the last row it returns is true.
 * @param backup that has it: what is left of a service is never dropped with another
 * @param run of which this is a part, in which nothing is tried again that could not be dropped
 */
export function renderDrop(service: Pick<ResolvedService, "code">, backup: string, run: string): string {
  return drop(retiredRows(service), backup, run);
}

/**
 * Drops a schema in which something is kept, the same way; no role goes with it.
 * @param name which it gets when the first part goes: what is left of it is not what was kept, and nobody may take it for that
 */
export function renderDropKept(schema: string, name: string, run: string): string {
  const rename = schema === name ? [] : [`ALTER SCHEMA ${identifier(schema)} RENAME TO ${identifier(name)}`];
  const rows = `INSERT INTO pg_temp.retired_role (code) VALUES (${escapeLiteral(name)})`;
  return drop([...rename, sqlFile("retired"), rows], "none", run);
}

function drop(rows: readonly string[], backup: string, run: string): string {
  return transaction([
    "SET LOCAL client_min_messages = warning",
    ...rows,
    sqlFile("begun-drops"),
    sqlFile("retired-begun"),
    "CREATE TEMP TABLE retired_with (backup text, run text) ON COMMIT DROP",
    insert("retired_with", [[backup, run]]),
    sqlFile("retired-pieces"),
    sqlFile("retired-apart"),
    sqlFile("retired-holders"),
    sqlFile("drop-retired"),
  ]);
}

/** Names the table of {@link begunDropsQuery}; empty where no drop was ever begun. */
export const begunDropsTableQuery = "SELECT to_regclass('platform.begun_drop')";

/** Services of which a part is dropped, a line each: `code backup`. Fails where its table is not there. */
export function begunDropsQuery(): string {
  return "SELECT b.code || ' ' || b.backup FROM platform.begun_drop b JOIN pg_namespace n ON n.oid = b.schema AND n.nspname = b.code";
}

function retiredRows({ code }: Pick<ResolvedService, "code">): string[] {
  const roles = tiers.map((tier) => [code, tierRole(code, tier)]);
  return [sqlFile("retired"), insert("retired_role", roles)];
}
