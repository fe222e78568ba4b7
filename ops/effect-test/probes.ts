import { isGranted } from "../../components/access/expectation";
import type { Plan } from "../../components/access/plan-items";
import type { ObjectType, Privilege } from "../../components/access/privileges";
import { tierRole } from "../../services/service";
import type { Attempt } from "./attempt";

/** A kind of object a service may own, and what can be tried on it. */
interface Probe {
  readonly kind: string;
  /** SQL of its owner; `$` is the schema-qualified name. Kinds may use those above them. */
  readonly create: string;
  readonly actions: readonly Action[];
}

interface Action {
  readonly name: string;
  /** `$` is the schema-qualified name. */
  readonly sql: string;
  /** Privileges a role other than the owner needs; null: nobody but the owner. */
  readonly needs: readonly (readonly [Privilege, ObjectType])[] | null;
}

const onTable = (name: Privilege, sql: string): Action => ({ name, sql, needs: [[name, "table"]] });
const owners = (name: string, sql: string): Action => ({ name, sql, needs: null });

const select = onTable("SELECT", "SELECT FROM $");
const tableActions: readonly Action[] = [
  select,
  onTable("INSERT", "INSERT INTO $ (note) VALUES ('probe')"),
  onTable("UPDATE", "UPDATE $ SET note = NULL"),
  onTable("DELETE", "DELETE FROM $"),
  owners("TRUNCATE", "TRUNCATE $"),
  owners("ALTER", "ALTER TABLE $ ADD COLUMN more text"),
  owners(
    "CREATE TRIGGER",
    "CREATE TRIGGER probe BEFORE UPDATE ON $ EXECUTE FUNCTION suppress_redundant_updates_trigger()",
  ),
];

const probes: readonly Probe[] = [
  { kind: "table", create: "CREATE TABLE $ (note text)", actions: tableActions },
  {
    kind: "serial",
    create: "CREATE TABLE $ (id serial PRIMARY KEY, note text)",
    actions: [
      {
        name: "INSERT with its sequence",
        sql: "INSERT INTO $ (note) VALUES ('probe')",
        needs: [
          ["INSERT", "table"],
          ["USAGE", "sequence"],
        ],
      },
      owners("DROP", "DROP TABLE $"),
    ],
  },
  {
    kind: "partitioned",
    create: "CREATE TABLE $ (note text) PARTITION BY LIST (note)",
    actions: tableActions.slice(0, 5),
  },
  {
    kind: "partition",
    create: "CREATE TABLE $ PARTITION OF $partitioned DEFAULT",
    actions: tableActions.slice(0, 5),
  },
  { kind: "view", create: "CREATE VIEW $ AS SELECT note FROM $table", actions: tableActions.slice(0, 4) },
  {
    kind: "matview",
    create: "CREATE MATERIALIZED VIEW $ AS SELECT note FROM $table",
    actions: [select, owners("REFRESH", "REFRESH MATERIALIZED VIEW $")],
  },
  {
    kind: "sequence",
    create: "CREATE SEQUENCE $",
    actions: [
      { name: "SELECT", sql: "SELECT last_value FROM $", needs: [["SELECT", "sequence"]] },
      { name: "nextval", sql: "SELECT nextval('$')", needs: [["USAGE", "sequence"]] },
      owners("setval", "SELECT setval('$', 1)"),
    ],
  },
  {
    kind: "function",
    create: "CREATE FUNCTION $() RETURNS integer LANGUAGE sql RETURN 1",
    actions: [{ name: "EXECUTE", sql: "SELECT $()", needs: [["EXECUTE", "routine"]] }],
  },
  {
    kind: "procedure",
    create: "CREATE PROCEDURE $() LANGUAGE sql AS ''",
    actions: [{ name: "EXECUTE", sql: "CALL $()", needs: [["EXECUTE", "routine"]] }],
  },
  {
    kind: "function_view",
    create: "CREATE VIEW $ AS SELECT $function() AS one",
    actions: [
      {
        name: "SELECT",
        sql: "SELECT one FROM $",
        needs: [
          ["SELECT", "table"],
          ["EXECUTE", "routine"],
        ],
      },
    ],
  },
];

/** Objects made before the plan was applied get their rights from grants, those made after it from default privileges. */
export type Generation = "old" | "new";

/** SQL by which `{code}own` makes one generation of probe objects; committed, so only for a server of the test's own. */
export function createProbes(code: string, generation: Generation): string {
  return probes.map(({ kind, create }) => `${fill(create, code, generation, kind)};`).join("\n");
}

/** What every tier role tries on the probe objects of every service, and what the plan says of it. */
export function probeAttempts(plan: Plan, generations: readonly Generation[]): readonly Attempt[] {
  const roles = plan.roles.filter(({ of }) => of !== null);
  return roles.flatMap((role) =>
    plan.services.flatMap(({ code }) =>
      generations.flatMap((generation) =>
        probes.flatMap(({ kind, actions }) =>
          actions.map((action) => ({
            role: role.name,
            action: `${action.name} on ${fill("$", code, generation, kind)}`,
            sql: fill(action.sql, code, generation, kind),
            expected: mayDo(plan, role.name, code, action) ? ("allowed" as const) : ("denied" as const),
          })),
        ),
      ),
    ),
  );
}

function mayDo(plan: Plan, role: string, code: string, { needs }: Action): boolean {
  if (role === tierRole(code, "owner")) return true;
  if (needs === null || !isGranted(plan, role, "USAGE", { type: "schema", schema: code })) return false;
  return needs.every(([privilege, type]) => isGranted(plan, role, privilege, { type, schema: code }));
}

/** `$` becomes the object itself, `$table` the object of that kind in the same generation. */
function fill(sql: string, code: string, generation: Generation, kind: string): string {
  return sql.replaceAll(/\$([a-z_]*)/g, (_, other: string) => `${code}.${code}_probe_${generation}_${other || kind}`);
}
