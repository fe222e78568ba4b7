import type { ClientBase } from "pg";
import type { Plan } from "../../components/access/plan-items";
import type { LoginTarget } from "../effect-test/run";
import type { Finding } from "./finding";
import { auditGuard } from "./guard";
import { auditLogins } from "./logins";
import { auditObjects } from "./objects";
import { auditDefaultPrivileges, auditPrivileges } from "./privileges";
import { auditRoles } from "./roles";

/**
 * Where the server is not what the plan says. Asks the catalogs only: no relation of a service is read.
 * @param superuser in the plan's database
 * @param logins undefined where the passwords are not known: nobody logs in then
 */
export async function audit(
  plan: Plan,
  superuser: ClientBase,
  logins: LoginTarget | undefined,
): Promise<readonly Finding[]> {
  // What is printed of names, and so the SQL that repairs, does not depend on whose path it is read with.
  await superuser.query(
    "SET search_path = pg_catalog, pg_temp; SET statement_timeout = '60s'; SET lock_timeout = '5s'",
  );
  const trying = logins === undefined ? Promise.resolve([]) : auditLogins(plan, logins);
  // In the order in which they are repaired: an owner's rights follow the owner.
  const looked = [
    await auditObjects(plan, superuser),
    await auditRoles(plan, superuser),
    await auditPrivileges(plan, superuser),
    await auditDefaultPrivileges(plan, superuser),
    await auditGuard(superuser),
  ];
  return [...looked.flat(), ...(await trying)];
}
