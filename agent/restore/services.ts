import type { Plan } from "../../components/access/plan-items";
import { BackupFailure, inALine } from "../failure";
import type { Dump } from "../manifest";
import { within } from "../limits";
import { runTool, type ToolOptions } from "../tool";
import { asOwner, restoreOptions, ServerTaken, type OwnerLogin } from "./owner-login";
import type { Throwaway } from "./throwaway";

/** A service that could not be restored. */
export interface NotRestored {
  readonly service: string;
  readonly why: string;
}

/** Of one service: as whom, and until when. */
export interface OwnersWork {
  readonly service: string;
  readonly file: string;
  readonly login: OwnerLogin;
  readonly limited: ToolOptions;
}

/**
 * Restores each service's schema as its owner.
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
  const files = services.flatMap(({ code }) => {
    const dump = dumps.find((one) => one.services.includes(code));
    return dump === undefined ? [] : [[code, `${folder}/${dump.file}`] as const];
  });
  return eachAsOwner(server, database, new Map(files), minutes, options, async (work) => {
    const { service, file, login, limited } = work;
    const to = [`--host=${server.socket}`, `--username=${login.role}`, `--dbname=${database}`];
    await runTool("pg_restore", [...to, ...restoreOptions(service, login.owner), file], limited);
  });
}

/**
 * Makes what is in a service's file as its owner, one after the other. Nothing of a service is left when the next one comes.
 * @param files by service
 * @throws ServerTaken where a service's code takes the server from the others
 */
export async function eachAsOwner(
  server: Throwaway,
  database: string,
  files: ReadonlyMap<string, string>,
  minutes: number,
  options: ToolOptions,
  work: (own: OwnersWork) => Promise<void>,
): Promise<readonly NotRestored[]> {
  const superuser = await server.connect("postgres", database);
  const failed: NotRestored[] = [];
  try {
    await superuser.query("SET lock_timeout = '10s'; SET statement_timeout = '60s'");
    for (const [service, file] of files) {
      await asOwner(superuser, { database, service }, (login) =>
        within(minutes, options, (limited) => work({ service, file, login, limited })),
      ).catch((error: unknown) => {
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
