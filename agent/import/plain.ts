import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Plan } from "../../components/access/plan-items";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import { ServerTaken } from "../restore/owner-login";
import { makePlanned } from "../restore/planned";
import { eachAsOwner, type NotRestored, type OwnersWork } from "../restore/services";
import { initialize, withServer, type Throwaway } from "../restore/throwaway";
import { runTool, type ToolOptions } from "../tool";

/** A service is loaded in one transaction, which has a lock on each of its tables and indexes until it ends. */
const own = { max_locks_per_transaction: "4096" };

/**
 * Loads each service's part as its owner into a server that has the plan, so that its code sees nothing of the others. Of one that
 * fails nothing is left, and it keeps nobody else; where nothing ends its code, the others are loaded into another server.
 * @param parts file by service
 * @param minutes each may take
 * @param loadOne loads one service's part, given where to, as options of PostgreSQL's programs
 * @param work is done with the server, and told which were not loaded
 * @throws BackupFailure where none is
 */
export async function loadParts<T>(
  folder: string,
  plan: Plan,
  parts: ReadonlyMap<string, string>,
  minutes: number,
  options: ToolOptions,
  loadOne: (to: readonly string[], own: OwnersWork) => Promise<void>,
  work: (server: Throwaway, failed: readonly NotRestored[]) => Promise<T>,
): Promise<T> {
  const load = async (taken: readonly NotRestored[]): Promise<T> => {
    const place = join(folder, `server-${taken.length}`);
    await mkdir(place, { mode: 0o700 });
    await initialize(join(place, "data"), options);
    const isTaken = (code: string) => taken.some(({ service }) => service === code);
    const rest = plan.services.flatMap(({ code }) => {
      const file = parts.get(code);
      return file === undefined || isTaken(code) ? [] : [[code, file] as const];
    });
    const loading = withServer(place, own, options, async (server) => {
      await makePlanned(server, plan);
      const files = new Map(rest);
      const { database } = plan;
      const failed = await eachAsOwner(server, database, files, minutes, options, (own) =>
        loadOne([`--host=${server.socket}`, `--username=${own.login.role}`, `--dbname=${database}`], own),
      );
      const all = [...taken, ...failed];
      if (failed.length === files.size) throw new BackupFailure(`no service of it can be loaded: ${inWords(all)}`);
      return work(server, all);
    });
    return loading.catch((error: unknown) => {
      if (!(error instanceof ServerTaken) || isTaken(error.service)) throw error;
      return load([...taken, { service: error.service, why: error.message }]);
    });
  };
  return load([]);
}

const inWords = (failed: readonly NotRestored[]) => shortened(failed.map(({ service, why }) => `${service}: ${why}`));

/**
 * One service's SQL, all or nothing.
 * @throws BackupFailure with what the server says of the first statement that fails
 */
export async function runSql(to: readonly string[], { file, limited }: OwnersWork): Promise<void> {
  const how = ["--no-psqlrc", "--quiet", "--no-password", "--single-transaction", "--set=ON_ERROR_STOP=1"];
  await runTool("psql", [...how, ...to, "--output=/dev/null", `--file=${file}`], limited).catch((error: unknown) => {
    if (!(error instanceof BackupFailure)) throw error;
    const [, why] = /psql:\S+:\d+: (?:ERROR|error|FATAL): +(.*)$/s.exec(error.message) ?? [];
    throw why === undefined ? error : new BackupFailure(`its SQL fails: ${why}`);
  });
}
