import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseError, escapeIdentifier, escapeLiteral, type ClientBase } from "pg";
import { restoreLoginBegin } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import { BackupFailure } from "../failure";

/** Where a service's schema is restored. */
export interface OwnerLoginArgs {
  readonly database: string;
  /** The service's code. */
  readonly service: string;
  /** PostgreSQL's `temp_file_limit`: an index of everything is sorted in files. @default no limit */
  readonly temporaryFiles?: string;
}

/** What somebody logs in with who restores. */
export interface OwnerLogin {
  readonly role: string;
  /** What it becomes, by SET ROLE. */
  readonly owner: string;
}

/** A service whose code takes the server from the others: they need another one. */
export class ServerTaken extends BackupFailure {
  constructor(
    readonly service: string,
    what: string,
  ) {
    super(`${service} ${what}`);
  }
}

/** What pg_restore is told of a service's schema, beside where it is: only what is the owner's, as the owner. */
export function restoreOptions(service: string, owner: string): readonly string[] {
  return [
    ...[`--schema=${service}`, `--role=${owner}`],
    ...["--no-owner", "--no-privileges", "--no-password", "--exit-on-error"],
  ];
}

/**
 * Makes a login that becomes the owner of a service, for one database and as long as `work` takes: functions in checks, defaults and
 * materialized views run with no more than the owner's rights, whatever becomes of the owner's own login meanwhile. The guard looks at
 * what it does as at the owner's, except for prefixes: with session_replication_role = replica, code of the service could make what
 * ends the server. It has none of the limits of the day, and no password: only who is inside the server's container is let in.
 * Code of the service may go back to it, and make something as that: nobody else may call its functions, as the owner's.
 * Nothing of it is left afterwards, nor of what an earlier one left.
 * @param superuser in the database
 * @throws ServerTaken where its sessions do not end
 */
export async function asOwner<T>(
  superuser: ClientBase,
  { database, service, temporaryFiles = "-1" }: OwnerLoginArgs,
  work: (login: OwnerLogin) => Promise<T>,
): Promise<T> {
  const owner = tierRole(service, "owner");
  // A name of its own each time: somebody may make an object depend on the last one, and so keep it.
  const begin = restoreLoginBegin(service);
  const login = { role: begin + randomBytes(4).toString("hex"), owner };
  const [role, here] = [escapeIdentifier(login.role), escapeIdentifier(database)];
  await forgetLogins(superuser, service);
  await superuser.query(
    `CREATE ROLE ${role} LOGIN CONNECTION LIMIT 1 IN ROLE ${escapeIdentifier(owner)};
     ALTER DEFAULT PRIVILEGES FOR ROLE ${role} REVOKE ALL ON ROUTINES FROM PUBLIC;
     GRANT CONNECT ON DATABASE ${here} TO ${role};
     ALTER ROLE ${role} IN DATABASE ${here} SET temp_file_limit = '${temporaryFiles}'`,
  );
  return work(login).finally(() => forget(superuser, login, service));
}

/**
 * Removes what restores that were killed have left of such logins.
 * @throws ServerTaken where a session of theirs does not end
 */
export async function forgetLogins(superuser: ClientBase, service: string): Promise<void> {
  const { rows } = await superuser.query<{ left: string }>(
    "SELECT rolname AS left FROM pg_roles WHERE starts_with(rolname, $1)",
    [restoreLoginBegin(service)],
  );
  for (const { left } of rows) await forget(superuser, { role: left, owner: tierRole(service, "owner") }, service);
}

/** One that something depends on stays, and logs in no more: the audit names it. */
async function forget(superuser: ClientBase, { role, owner }: OwnerLogin, service: string): Promise<void> {
  const name = escapeIdentifier(role);
  // Code of the service may have the row of its own role: whoever has it is ended, and then nobody else gets it first.
  await endSessions(superuser, role, service);
  const ended = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${escapeLiteral(role)}`;
  await superuser.query(`${ended}; ALTER ROLE ${name} NOLOGIN`).catch((error: unknown) => {
    if (error instanceof DatabaseError)
      throw new ServerTaken(service, `keeps its login of a restore: ${error.message}`);
    throw error;
  });
  await endSessions(superuser, role, service);
  // What such a login made before it became the owner is the owner's.
  const drop = `REASSIGN OWNED BY ${name} TO ${escapeIdentifier(owner)}; DROP OWNED BY ${name}; DROP ROLE ${name}`;
  await superuser.query(drop).catch((error: unknown) => {
    if (!(error instanceof DatabaseError)) throw error;
  });
}

/** pg_restore cancels its query where it takes too long; a function may catch that, and hold what it has for ever. */
async function endSessions(superuser: ClientBase, role: string, service: string): Promise<void> {
  const own = "FROM pg_stat_activity WHERE usename = $1";
  for (let left = 10; left > 0; left--) {
    await superuser.query(`SELECT pg_terminate_backend(pid) ${own}`, [role]);
    const { rowCount } = await superuser.query(`SELECT ${own}`, [role]);
    if (rowCount === 0) return;
    await sleep(1000);
  }
  throw new ServerTaken(service, "has code that nothing ends");
}
