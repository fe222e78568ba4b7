import type { Plan } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import type { Throwaway } from "./throwaway";

/** An empty database of the plan: roles, schemas, rights and the guard. */
export async function makePlanned(server: Throwaway, plan: Plan): Promise<void> {
  const postgres = await server.connect("postgres", "postgres");
  await postgres.query(`CREATE DATABASE "${plan.database}"`).finally(() => postgres.end());
  await applyPlan(server, plan);
}

/** What the plan says of who may do what, again. */
export async function applyPlan(server: Throwaway, plan: Plan): Promise<void> {
  const superuser = await server.connect("postgres", plan.database);
  await superuser.query(renderPlan(plan, new Map())).finally(() => superuser.end());
}
