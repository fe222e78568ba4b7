import type { ClientBase } from "pg";
import { identifier } from "../../components/access/describe";
import type { Plan } from "../../components/access/plan-items";
import { keptSchema } from "../../components/access/set-aside";
import { guardFiles } from "../../components/access/sql";
import type { Finding } from "./finding";
import { rowsOf } from "./rows";
import { sqlFile } from "./sql-file";

interface GuardRow {
  readonly kind: "event trigger" | "function";
  readonly name: string;
  readonly event: string | null;
  /** `O` enabled, `D` disabled, `R` and `A` for replication only or always. */
  readonly enabled: string | null;
  readonly function: string;
  readonly tags: readonly string[] | null;
  readonly source: string | null;
  readonly owner: string;
}

/** The guard: there, enabled, unchanged. */
export async function auditGuard(superuser: ClientBase): Promise<readonly Finding[]> {
  const rows = await rowsOf<GuardRow>(superuser, sqlFile("guard"));
  const files = guardFiles();
  const text = files.join("\n");
  const triggers = [...text.matchAll(/^ *CREATE EVENT TRIGGER (\w+) ON (\w+) EXECUTE FUNCTION (platform\.\w+)\(\)/gm)];
  const functions = [
    ...text.matchAll(/CREATE OR REPLACE FUNCTION platform\.(\w+)\([^)]*\)[^$]*\$(\w+)\$(.*?)\$\2\$/gs),
  ];
  const finding = (what: string, expected: string, found: string, fix: readonly string[]): Finding => ({
    ...{ kind: "guard", role: "", what, expected, found, fix },
  });
  const whole = files.map((file) => file.trimEnd().replace(/;$/, ""));
  return [
    ...triggers.flatMap(([, name = "", event = "", called = ""]) => {
      const row = rows.find((found) => found.kind === "event trigger" && found.name === name);
      const what = `event trigger ${name}`;
      if (row === undefined) return [finding(what, "there", "missing", whole)];
      if (row.enabled !== "O") return [finding(what, "enabled", "disabled", [`ALTER EVENT TRIGGER ${name} ENABLE`])];
      const isOurs = row.event === event && row.function === `${called}()` && row.tags === null;
      return isOurs ? [] : [finding(what, `on ${event}, ${called}`, "another", whole)];
    }),
    ...functions.flatMap(([, name = "", , source = ""]) => {
      const row = rows.find((found) => found.kind === "function" && found.name === name);
      const found = row === undefined ? "missing" : row.source === source ? undefined : "another";
      return found === undefined ? [] : [finding(`function platform.${name}`, "the platform's", found, whole)];
    }),
    ...rows
      .filter(({ kind, name }) => kind === "event trigger" && !triggers.some(([, ours]) => ours === name))
      .map(({ name, owner }): Finding => ({
        ...finding(`event trigger ${name}`, "none but the guard's", `there, of ${owner}`, [
          `DROP EVENT TRIGGER ${identifier(name)}`,
        ]),
        destroys: true,
      })),
  ];
}

/**
 * What the guard refuses and is there all the same: it came in before the guard, or past it.
 * @param schemas those of services to look into; "" stands for all that is in none of them
 */
export async function auditRefusedObjects(
  { services }: Plan,
  superuser: ClientBase,
  schemas: readonly string[],
): Promise<readonly Finding[]> {
  // Where it is missing, that is a finding of its own.
  const { rowCount } = await superuser.query(
    "SELECT WHERE to_regprocedure('platform.refused_objects(oid[])') IS NOT NULL",
  );
  if (rowCount === 0) return [];
  const rows = await rowsOf<Record<"schema" | "kind" | "name" | "uses" | "cure", string>>(
    superuser,
    // Names are not all of a schema: each service's by themselves, and all others, with casts, which are in none. What a restore has kept
    // runs for nobody, and is named as a schema.
    `SELECT asked.schema, r.kind, r.name, r.uses, r.cure
       FROM (SELECT CASE WHEN nspname = ANY ($1) THEN nspname ELSE '' END AS schema, array_agg(oid) AS schemas
               FROM pg_namespace WHERE nspname !~ '${keptSchema}' GROUP BY 1) AS asked
      CROSS JOIN LATERAL platform.refused_objects(
              platform.objects_of(asked.schemas) || CASE asked.schema WHEN '' THEN ARRAY(SELECT oid FROM pg_cast) END) AS r
      WHERE asked.schema = ANY ($2)
      ORDER BY 2, 3, 4`,
    [services.map(({ code }) => code), schemas],
  );
  return rows.map(({ schema, kind, name, uses, cure }) => {
    const fix = dropping[kind]?.(name, uses) ?? [];
    return {
      kind: "refused object",
      role: "",
      schema,
      what: `${kind} ${name}`,
      expected: "none: the guard refuses it",
      found: `uses ${uses}`,
      fix,
      ...(fix.length === 0 ? { byHand: cure } : {}),
    };
  });
}

/** What can go without a row being lost. */
const dropping: Readonly<Record<string, (name: string, uses: string) => readonly string[]>> = {
  index: (name) => [`DROP INDEX ${name}`],
  statistics: (name) => [`DROP STATISTICS ${name}`],
  cast: (name) => [`DROP CAST (${name})`],
  operator: (name) => [`ALTER OPERATOR ${name.replace("(", " (")} SET (RESTRICT = NONE, JOIN = NONE)`],
  // SET LOGGED writes the table anew, with nobody in it meanwhile: when, its owner says.
  table: (name, uses) =>
    uses === "UNLOGGED" ? [] : [`ALTER TABLE ${name} RESET (${uses.slice(0, uses.indexOf("="))})`],
};
