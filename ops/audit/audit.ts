import { DatabaseError, type ClientBase } from "pg";
import type { Plan } from "../../components/access/plan-items";
import type { LoginTarget } from "../login-target";
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
  const trying = logins === undefined ? Promise.resolve([]) : auditLogins(plan, logins);
  // One moment of the catalogs. What is printed of names, and so the SQL that repairs, does not depend on whose path it is read with.
  await superuser.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '5s'`,
  );
  try {
    // In the order in which they are repaired: an owner's rights follow the owner.
    const parts: readonly (readonly [what: string, look: () => Promise<readonly Finding[]>])[] = [
      ["objects", () => auditObjects(plan, superuser)],
      ["roles", () => auditRoles(plan, superuser)],
      ["privileges", () => auditPrivileges(plan, superuser)],
      ["default privileges", () => auditDefaultPrivileges(plan, superuser)],
      ["guard", () => auditGuard(plan, superuser)],
    ];
    const looked: (readonly Finding[])[] = [];
    for (const [what, look] of parts) looked.push(await orWhyNot(what, look, superuser));
    return [...looked.flat(), ...(await trying)];
  } finally {
    await superuser.query("ROLLBACK").catch(() => undefined); // a lost connection is the error of the query before
  }
}

/** Out of time, out of memory, a catalog that somebody has locked: an owner can bring each about, and must not hide what else is found. */
const hindrances = ["57014", "53200", "55P03"];

async function orWhyNot(
  what: string,
  look: () => Promise<readonly Finding[]>,
  superuser: ClientBase,
): Promise<readonly Finding[]> {
  await superuser.query("SAVEPOINT part");
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof DatabaseError) || !hindrances.includes(error.code ?? "")) throw error;
    await superuser.query("ROLLBACK TO SAVEPOINT part");
    return [
      {
        ...{ kind: "not audited", role: "", what: `the ${what}`, expected: "an answer", found: error.message, fix: [] },
        byHand:
          "npm run ops -- status says which schema has too many objects, pg_locks who holds a catalog; then again.",
      },
    ];
  }
}
