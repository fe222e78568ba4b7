import type { Plan } from "../../components/access/plan-items";
import { BackupFailure, inALine } from "../failure";
import type { Dump } from "../manifest";
import { within } from "../limits";
import { runTool, type ToolOptions } from "../tool";
import { asOwner, restoreOptions, ServerTaken } from "./owner-login";
import type { Throwaway } from "./throwaway";

/** A service that could not be restored. */
export interface NotRestored {
  readonly service: string;
  readonly why: string;
}

/**
 * Restores each service's schema as its owner. Nothing of a service is left when the next one comes.
 * @param folder of the backup
 * @param minutes each may take: a service's own code runs in it
 */
export async function restoreServices(
  server: Throwaway,
  { database, services }: Plan,
  folder: string,
  dumps: readonly (Dump & { readonly services: readonly string[] })[],
  minutes: number,
  options: ToolOptions,
): Promise<readonly NotRestored[]> {
  const superuser = await server.connect("postgres", database);
  const failed: NotRestored[] = [];
  try {
    await superuser.query("SET lock_timeout = '10s'; SET statement_timeout = '60s'");
    for (const { code: service } of services) {
      const dump = dumps.find((one) => one.services.includes(service));
      if (dump === undefined) continue;
      await asOwner(superuser, { database, service }, ({ role, owner }) => {
        const to = [`--host=${server.socket}`, `--username=${role}`, `--dbname=${database}`];
        const args = [...to, ...restoreOptions(service, owner), `${folder}/${dump.file}`];
        return within(minutes, options, (limited) => runTool("pg_restore", args, limited));
      }).catch((error: unknown) => {
        if (error instanceof ServerTaken || options.signal?.aborted) throw error;
        // The superuser's own session is gone.
        if (!(error instanceof BackupFailure)) throw new ServerTaken(service, `ends the server: ${inALine(error)}`);
        failed.push({ service, why: inALine(error) });
      });
    }
    return failed;
  } finally {
    await superuser.end();
  }
}
