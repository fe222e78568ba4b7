import { dumpRole, replicationRole, superuserRole } from "../../../components/access/plan-items";
import { scramVerifier } from "../../../components/access/scram";
import { renderLogins, renderPasswordNotes, renderPlan, type Verifiers } from "../../../components/access/sql";
import { database } from "../../../components/settings-rules";
import { OperatorError } from "../../operator-error";
import type { Platform } from "../platform";
import { askLook, readFromLook } from "./look";
import { lookContainer, type RestorePlace } from "./place";

const promoteSeconds = 3600;
const endOthers =
  "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

/** Ends the recovery, where there is one: a new timeline begins, and a session that has only read could write. */
export function promote(place: RestorePlace): void {
  askLook(place, "postgres", endOthers);
  const sql = `SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, ${promoteSeconds}) ELSE true END`;
  if (askLook(place, "postgres", sql) === "t") return;
  throw new OperatorError(
    `${lookContainer(place)} is no primary after ${promoteSeconds} s: docker logs --tail 20 ${lookContainer(place)}`,
  );
}

/**
 * Gives every role the stack's password and the plan's rights, before the services get in: as they were at the target nobody is let in,
 * a service that was frozen since neither.
 */
export function asThePlanSays(place: RestorePlace, platform: Platform): void {
  const { plan } = platform;
  const verifiers = verifiersOf(place, platform);
  askLook(place, database, renderLogins(plan, verifiers));
  askLook(place, database, renderPlan(plan, verifiers));
  askLook(place, database, renderPasswordNotes(verifiers));
}

/** Of the services and the superuser the stack's outputs have the passwords, of the others the configuration's volume. */
function verifiersOf(place: RestorePlace, { plan, logins, stack }: Platform): Verifiers {
  const pgpass = readFromLook(place, "/etc/centraldb/pgpass").split("\n");
  const inFile = [dumpRole, replicationRole].flatMap((role): [string, string][] => {
    const begin = `*:*:*:${role}:`;
    const line = pgpass.find((one) => one.startsWith(begin));
    return line === undefined ? [] : [[role, line.slice(begin.length)]];
  });
  const passwords = new Map([...logins.passwords, ...inFile]);
  const wanted = [superuserRole, ...plan.roles.filter(({ login }) => login).map((role) => role.name)];
  const missing = wanted.filter((role) => !passwords.has(role));
  if (missing.length > 0) {
    throw new OperatorError(
      `stack ${stack.name} has no password of ${missing.join(", ")}: npm run up makes what is missing, then again`,
    );
  }
  return new Map(wanted.map((role) => [role, scramVerifier(role, passwords.get(role) ?? "")]));
}
