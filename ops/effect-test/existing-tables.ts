import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientBase } from "pg";
import { isGranted } from "../../components/access/expectation";
import type { Plan } from "../../components/access/plan-items";
import type { Privilege } from "../../components/access/privileges";
import { tierRole } from "../../services/service";
import type { Attempt } from "./attempt";

/**
 * Tables of a schema that are tried. An owner makes a hundred thousand in a minute, and PostgreSQL's answer follows from owner and
 * privileges, of which the audit reads every one.
 */
export const triedTables = 100;

/** A schema of whose tables only some are tried. */
export interface Sample {
  readonly schema: string;
  readonly tables: number;
}

/**
 * Attempts on the tables that exist. LOCK TABLE asks for the same privileges as reading and writing and runs nothing:
 * planning an INSERT would already run the functions in a table's defaults, policies and rules as whoever tries.
 */
export async function existingAttempts(
  plan: Plan,
  superuser: ClientBase,
): Promise<{ readonly attempts: readonly Attempt[]; readonly samples: readonly Sample[] }> {
  const existingTables = readFileSync(join(__dirname, "existing-tables.sql"), "utf8");
  const { rows } = await superuser.query<{ schema: string; name: string; of: number }>(existingTables, [
    plan.services.map(({ code }) => code),
    triedTables,
  ]);
  const modes: readonly (readonly [mode: string, anyOf: readonly Privilege[]])[] = [
    ["ACCESS SHARE", ["SELECT", "UPDATE", "DELETE"]],
    ["ROW EXCLUSIVE", ["INSERT", "UPDATE", "DELETE"]],
  ];
  const tierRoles = plan.roles.filter(({ of }) => of !== null);
  const attempts = tierRoles.flatMap(({ name: role }) =>
    rows.flatMap(({ schema, name }) =>
      role === tierRole(schema, "owner") // ownership needs no proof
        ? []
        : modes.map(([mode, anyOf]): Attempt => {
            const usage = isGranted(plan, role, "USAGE", { type: "schema", schema });
            const may = usage && anyOf.some((privilege) => isGranted(plan, role, privilege, { type: "table", schema }));
            return {
              role,
              action: `LOCK ${name} IN ${mode} MODE`,
              sql: `LOCK TABLE ONLY ${name} IN ${mode} MODE NOWAIT`,
              expected: may ? "allowed" : "denied",
            };
          }),
    ),
  );
  const sampled = new Map(rows.filter(({ of }) => of > triedTables).map(({ schema, of }) => [schema, of]));
  return { attempts, samples: [...sampled].map(([schema, tables]) => ({ schema, tables })) };
}
