import type { AccessMatrix } from "../../components/access/matrix";
import { planAccess } from "../../components/access/plan";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import { identifier } from "../../components/access/describe";
import { database, type Settings } from "../../components/settings-rules";
import type { Service } from "../../services/service";
import { tierRole } from "../../services/service";
import { startThrowawayServer } from "../sandbox/throwaway-server";
import { readMatrix } from "./read-matrix";

/** The plan of a registry on a server of its own, where every owner has made its example tables: what the catalogs say then. */
export async function computeAccess(
  services: readonly Service[],
  { extensions }: Pick<Settings, "extensions">,
): Promise<{ readonly plan: Plan; readonly matrix: AccessMatrix }> {
  const plan = planAccess(services, { database, extensions });
  const server = await startThrowawayServer();
  const { superuser } = server;
  try {
    await superuser.query(renderPlan(plan, new Map()));
    for (const { code, tables } of plan.services) {
      // As the owner, so that its default privileges count; the roles of a frozen service cannot log in.
      await superuser.query(`SET SESSION AUTHORIZATION ${identifier(tierRole(code, "owner"))}`);
      for (const table of tables)
        await superuser.query(`CREATE TABLE ${identifier(code)}.${identifier(table)} (id bigint)`);
      await superuser.query(`SET SESSION AUTHORIZATION ${superuserRole}`);
    }
    return { plan, matrix: await readMatrix(plan, superuser) };
  } finally {
    await server.stop();
  }
}
