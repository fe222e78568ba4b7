import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientBase } from "pg";
import { inOrder, type AccessMatrix, type AccessRow, type RoleRow } from "../../components/access/matrix";
import type { Plan } from "../../components/access/plan-items";

/** What the server's catalogs say of the plan's roles and of PUBLIC, as superuser in the plan's database. */
export async function readMatrix(plan: Plan, superuser: ClientBase): Promise<AccessMatrix> {
  const names = plan.roles.map(({ name }) => name);
  const roles = (await superuser.query<Omit<RoleRow, "service" | "tier">>(sql("roles"), [names])).rows;
  const { rows } = await superuser.query<AccessRow>(sql("objects") + sql("matrix"), [names]);
  return {
    roles: plan.roles.flatMap(({ name, of }) =>
      roles
        .filter(({ role }) => role === name)
        .map(({ attributes, connectionLimit, settings }) => ({
          role: name,
          service: of?.service ?? null,
          tier: of?.tier ?? null,
          attributes,
          connectionLimit,
          settings: [...settings].sort(),
        })),
    ),
    access: inOrder(plan, rows),
  };
}

function sql(name: string): string {
  return readFileSync(join(__dirname, `${name}.sql`), "utf8");
}
