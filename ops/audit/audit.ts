import type { ClientBase } from "pg";
import type { Plan } from "../../components/access/plan-items";
import type { LoginTarget } from "../login-target";
import type { Finding } from "./finding";
import { auditGuard, auditRefusedObjects } from "./guard";
import { auditLogins } from "./logins";
import { atMost } from "./most";
import { auditObjects } from "./objects";
import { auditLimits, findingsOf, type Part } from "./part";
import { auditDefaultPrivileges, auditPrivileges } from "./privileges";
import { auditRoles } from "./roles";

/**
 * Where the server is not what the plan says; of one service a thousand places, and how many more. Asks the catalogs only: no relation of a service is read.
 * @param superuser in the plan's database
 * @param logins undefined where the passwords are not known: nobody logs in then
 */
export async function audit(
  plan: Plan,
  superuser: ClientBase,
  logins: LoginTarget | undefined,
  limits = auditLimits,
): Promise<readonly Finding[]> {
  const trying = logins === undefined ? Promise.resolve([]) : auditLogins(plan, logins);
  // One moment of the catalogs. What is printed of names, and so the SQL that repairs, does not depend on whose path it is read with.
  await superuser.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL lock_timeout = '5s'`,
  );
  try {
    // In the order in which they are repaired: an owner's rights follow the owner.
    const services = plan.services.map(({ code }) => code);
    const parts: readonly Part[] = [
      { name: "objects", services, look: (schemas) => auditObjects(plan, superuser, schemas) },
      { name: "roles", look: () => auditRoles(plan, superuser) },
      { name: "privileges", services, look: (schemas) => auditPrivileges(plan, superuser, schemas) },
      { name: "default privileges", look: () => auditDefaultPrivileges(plan, superuser) },
      { name: "guard", look: () => auditGuard(superuser) },
      { name: "refused objects", services, look: (schemas) => auditRefusedObjects(plan, superuser, schemas) },
    ];
    const looked: (readonly Finding[])[] = [];
    for (const part of parts) looked.push(await findingsOf(part, superuser, limits));
    return atMost([...looked.flat(), ...(await trying)], plan);
  } finally {
    await superuser.query("ROLLBACK").catch(() => undefined); // a lost connection is the error of the query before
  }
}
