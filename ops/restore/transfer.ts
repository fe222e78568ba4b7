import { BackupFailure, inALine } from "../../agent/failure";
import type { Summary } from "../../agent/summary";
import { asOwner, restoreOptions, type OwnerLogin } from "../../agent/restore/owner-login";
import { within } from "../../agent/limits";
import { places } from "../../agent/settings";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";
import { pipe } from "./pipe";
import { asSuperuser, findNodes, type Platform } from "./platform";

/** One service's schema of a backup, into a database of the primary. */
export interface Transfer {
  readonly backup: Summary;
  /** The service's code. */
  readonly service: string;
  /** Into which; the service's schema is there, and empty. */
  readonly database: string;
  /** Only the rows of this one, and the definitions of everything: `gt.gt_raw_data`. */
  readonly table?: string;
}

/**
 * Restores a service's schema as its owner. The dump comes out of the backup's container and goes into pg_restore in the primary's,
 * on whose socket the owner's login needs no password.
 * @throws OperatorError in pg_restore's words
 */
export async function transfer(platform: Platform, { backup, service, database, table }: Transfer): Promise<void> {
  const { stack, signal } = platform;
  signal?.throwIfAborted();
  const { primary } = findNodes(stack);
  const dumps = backup.logical?.dumps ?? [];
  const dump = dumps.find((one) => one.service === service) ?? dumps.find((one) => one.service === null);
  if (dump === undefined) throw new OperatorError(`${backup.id} has no dump of ${service}`);
  const file = `${places.store}/backups/${backup.id}/${dump.file}`;
  const temporaryFiles = `${Math.floor(freeKiB(stack, primary.container) / 2)}kB`;
  await asSuperuser(platform, database, (superuser) =>
    asOwner(superuser, { database, service, temporaryFiles }, async (login) => {
      const to = { stack, container: primary.container, file, database, service, login, signal };
      if (table === undefined) {
        await restore(to, []);
        await analyze(to);
        return;
      }
      await restore(to, ["--section=pre-data"]);
      const { rows } = await superuser.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_class c
          WHERE c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass))`,
        [table],
      );
      await restore(to, ["--section=data", ...rows.map(({ name }) => `--table=${name}`)]);
    }),
  ).catch((error: unknown) => {
    signal?.throwIfAborted();
    if (!(error instanceof BackupFailure)) throw error;
    throw new OperatorError(`${service} cannot be restored: ${inALine(error)}`);
  });
}

interface Way {
  readonly stack: Stack;
  readonly container: string;
  readonly file: string;
  readonly database: string;
  readonly service: string;
  readonly login: OwnerLogin;
  readonly signal: AbortSignal | undefined;
}

async function restore(way: Way, more: readonly string[]): Promise<void> {
  const { stack, container, file, database, service, login } = way;
  const { backup } = dockerNames(stack.settings.namePrefix);
  const to = [`--username=${login.role}`, `--dbname=${database}`];
  // What it has no need to read is read all the same: else it looks as if somebody had cut it off.
  const wholeInput = ["sh", "-c", '"$@" && cat > /dev/null', "sh"];
  const restoring = [...wholeInput, "pg_restore", ...to, ...restoreOptions(service, login.owner), ...more];
  await limited(way, (options) =>
    pipe(
      [
        ["exec", backup.container, "cat", file],
        ["exec", "--interactive", container, ...restoring],
      ],
      options,
    ),
  );
}

/** Without it every query is planned as if the tables were empty, until autovacuum comes by. */
async function analyze(way: Way): Promise<void> {
  const { container, database, service, login } = way;
  const as = ["--env", `PGOPTIONS=-c role=${login.owner}`];
  const args = [`--username=${login.role}`, `--dbname=${database}`, `--schema=${service}`, "--analyze-only", "--quiet"];
  await limited(way, (options) => pipe([["exec", ...as, container, "vacuumdb", ...args]], options));
}

/** A service's own code runs in it. */
function limited<T>(
  { stack, signal }: Way,
  work: (options: { readonly host: string | undefined; readonly signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const host = stack.dockerHost;
  const never = new AbortController().signal;
  return within(stack.settings.backupDumpMinutes, { signal: signal ?? never }, (either) => work({ ...either, host }));
}

/** KiB that are free where a node's data are. */
export function freeKiB({ dockerHost: host }: Stack, container: string): number {
  const { stdout, stderr } = docker(["exec", container, "sh", "-c", 'df -kP "$PGDATA" | tail -n 1'], { host });
  const free = Number(stdout.split(/\s+/)[3]);
  if (Number.isFinite(free)) return free;
  throw new OperatorError(`${container}: how much room its disk has is not known: ${stderr.trim()}`);
}
