import { setTimeout as sleep } from "node:timers/promises";
import { escapeLiteral, type Client } from "pg";
import { forgetLogins } from "../../agent/restore/owner-login";
import { identifier } from "../../components/access/describe";
import { endLogins } from "../../components/access/end-sessions";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { setAsideComment, setAsideQuery, type SetAside } from "../../components/access/set-aside";
import { database as live } from "../../components/settings-rules";
import { tierRole, tiers } from "../../services/service";
import { asSuperuser, type Platform } from "./platform";
import { endSessions } from "./sessions";
import { stamp } from "./steps";

/** A server that has crashed replays its WAL first. */
const restartSeconds = 300;

export function rolesOf(code: string): readonly string[] {
  return tiers.map((tier) => tierRole(code, tier));
}

/** The schema in which what a service had is kept while it is restored, or was when that was killed. */
export async function setAsideOf(platform: Platform, code: string): Promise<string | undefined> {
  const { rows } = await asSuperuser(platform, live, (superuser) => superuser.query<SetAside>(setAsideQuery));
  return rows.find((aside) => aside.code === code)?.schema;
}

/** Gives a service's schema the name `kept`, and marks it as what the service had. */
export function setAside(superuser: Client, plan: Plan, code: string, kept: string): Promise<unknown> {
  return transaction(superuser, [...aside(plan, code, kept), commentOn(kept, escapeLiteral(setAsideComment))]);
}

/** Gives a service's schema the name `kept`, and its name to `incoming`. */
export function exchange(
  superuser: Client,
  plan: Plan,
  code: string,
  kept: string,
  incoming: string,
): Promise<unknown> {
  return transaction(superuser, [...aside(plan, code, kept), rename(incoming, code)]);
}

/** What was restored is the service's own now: what it had is kept, and put back only where somebody says so. */
export function restored(kept: string): string {
  return commentOn(kept, "NULL");
}

/**
 * Puts back what a service had; a login that a killed restore has left goes. What was restored so far stands aside first: a lock that somebody has in it keeps it from being dropped,
 * and not from another name.
 * @returns the schema in which what was restored still is: somebody holds it, or it is more than goes at once
 */
export function putBack(platform: Platform, code: string, kept: string): Promise<string | undefined> {
  const failed = `${code}_failed_${stamp(new Date())}`;
  return asSuperuser(platform, live, async (superuser) => {
    await shutOut(superuser, code);
    await forgetLogins(superuser, code);
    const { rowCount } = await superuser.query("SELECT FROM pg_namespace WHERE nspname = $1", [code]);
    const half = rowCount === 0 ? [] : aside(platform.plan, code, failed);
    await transaction(superuser, [...half, restored(kept), rename(kept, code)]);
    if (rowCount === 0) return undefined;
    const drop = `SET lock_timeout = '2s'; DROP SCHEMA ${identifier(failed)} CASCADE`;
    const isGone = await superuser.query(drop).catch(() => undefined);
    return isGone === undefined ? failed : undefined;
  });
}

/**
 * Nobody of a service is let in any more.
 * @returns how many sessions were ended
 */
export async function shutOut(superuser: Client, code: string): Promise<number> {
  await superuser.query(
    rolesOf(code)
      .map((role) => `ALTER ROLE ${identifier(role)} CONNECTION LIMIT 0`)
      .join("; "),
  );
  await endLogins(superuser);
  return endSessions(superuser, "usename", rolesOf(code));
}

/** Waits for a primary that is being started. */
export async function answers(platform: Platform): Promise<void> {
  for (let left = restartSeconds; ; left--) {
    try {
      await asSuperuser(platform, live, () => Promise.resolve());
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(1000);
    }
  }
}

const rename = (schema: string, name: string) => `ALTER SCHEMA ${identifier(schema)} RENAME TO ${identifier(name)}`;

const commentOn = (schema: string, text: string) => `COMMENT ON SCHEMA ${identifier(schema)} IS ${text}`;

async function transaction(superuser: Client, statements: readonly string[]): Promise<void> {
  await superuser.query(["BEGIN", ...statements, "COMMIT"].join("; "));
}

/** Under another name the guard and the audit take it for no service's schema, and nobody is let in. */
function aside(plan: Plan, code: string, name: string): readonly string[] {
  const owner = tierRole(code, "owner");
  const others = plan.roles.map((role) => role.name).filter((role) => role !== owner);
  const everyone = ["PUBLIC", ...others.map((role) => identifier(role))].join(", ");
  const schema = identifier(name);
  return [
    rename(code, name),
    `ALTER SCHEMA ${schema} OWNER TO ${superuserRole}`,
    `REVOKE ALL ON SCHEMA ${schema} FROM ${everyone}, ${identifier(owner)} CASCADE`,
    ...["TABLES", "SEQUENCES", "ROUTINES"].map(
      (all) => `REVOKE ALL ON ALL ${all} IN SCHEMA ${schema} FROM ${everyone} CASCADE`,
    ),
    // As PostgreSQL gives it by itself.
    `GRANT EXECUTE ON ALL ROUTINES IN SCHEMA ${schema} TO PUBLIC`,
  ];
}
