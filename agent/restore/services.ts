import { setTimeout as sleep } from "node:timers/promises";
import { escapeIdentifier, type Client } from "pg";
import type { Plan } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import { BackupFailure, inALine } from "../failure";
import type { Dump } from "../manifest";
import { runTool, within, type ToolOptions } from "../tool";
import type { Throwaway } from "./throwaway";

/** A service that could not be restored. */
export interface NotRestored {
  readonly service: string;
  readonly why: string;
}

/** A service whose code no signal ends: its server is of no use any more. */
export class Unending extends BackupFailure {
  constructor(readonly service: string) {
    super(`${service} has code that nothing ends`);
  }
}

/**
 * Restores each service's schema by a login of its owner: functions in checks, defaults and materialized views run with no more than
 * the owner's rights. The guard is off for that login (it would refuse sequences that are dumped before they have an owner), and its
 * limits of the day; both for this database only, and set back at the end. Nothing of a service is left when the next one comes.
 * @param folder of the backup
 * @param minutes each may take: a service's own code runs in it
 */
export async function restoreServices(
  server: Throwaway,
  plan: Plan,
  folder: string,
  dumps: readonly (Dump & { readonly services: readonly string[] })[],
  minutes: number,
  options: ToolOptions,
): Promise<readonly NotRestored[]> {
  const superuser = await server.connect("postgres", plan.database);
  const failed: NotRestored[] = [];
  try {
    await superuser.query("SET lock_timeout = '10s'; SET statement_timeout = '60s'");
    for (const { file, services } of dumps) {
      for (const service of services) {
        const owner = tierRole(service, "owner");
        const here = `ALTER ROLE ${escapeIdentifier(owner)} IN DATABASE ${escapeIdentifier(plan.database)}`;
        await superuser.query(
          `${here} SET session_replication_role = replica; ${here} SET temp_file_limit = -1; ${here} SET statement_timeout = 0;
           ALTER ROLE ${escapeIdentifier(owner)} LOGIN`,
        );
        const args = [
          `--host=${server.socket}`,
          `--username=${owner}`,
          `--dbname=${plan.database}`,
          `--schema=${service}`,
        ];
        const how = ["--no-owner", "--no-privileges", "--no-password", "--exit-on-error", `${folder}/${file}`];
        await within(minutes, options, (limited) => runTool("pg_restore", [...args, ...how], limited)).catch(
          (error: unknown) => {
            if (!(error instanceof BackupFailure)) throw error;
            failed.push({ service, why: inALine(error) });
          },
        );
        await endSessions(superuser, owner, service);
        await superuser.query(`${here} RESET ALL`);
      }
    }
    return failed;
  } finally {
    await superuser.end();
  }
}

/** pg_restore cancels its query where it takes too long; a function may catch that, and hold what it has for ever. */
async function endSessions(superuser: Client, owner: string, service: string): Promise<void> {
  const own = "FROM pg_stat_activity WHERE usename = $1";
  for (let left = 10; left > 0; left--) {
    await superuser.query(`SELECT pg_terminate_backend(pid) ${own}`, [owner]);
    const { rowCount } = await superuser.query(`SELECT ${own}`, [owner]);
    if (rowCount === 0) return;
    await sleep(1000);
  }
  throw new Unending(service);
}
