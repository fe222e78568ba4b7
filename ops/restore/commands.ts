import type { Command, Option } from "commander";
import { database as live } from "../../components/settings-rules";
import type { ResolvedService } from "../../services/service";
import { findService } from "../connect";
import { requireEngine } from "../engine";
import { OperatorError } from "../operator-error";
import { parseBackupId } from "../backup/agent";
import { listBackups } from "../backup/list";
import { interrupted } from "../interrupted";
import { readStack } from "../stack-file";
import { typed } from "../typed";
import { alone } from "./alone";
import { restoreInPlace, serviceOfKept, sessionsOfService, swapSchemas } from "./in-place";
import { dropKept, requireKept } from "./drop";
import { addPointInTimeCommands, restorePoint, type PointOptions } from "./point/commands";
import { hasTarget } from "./point/target";
import { findNodes, platformOf, type Platform } from "./platform";
import { checkFile, restoreBeside } from "./restore";
import { stamp, steps, type Steps } from "./steps";
import { choose, datedAhead, isWhole, newerThan, type Wanted } from "./wanted";
import { requireWhole, sessionsOf, swapDatabases, swapOf } from "./swap";

interface RestoreOptions {
  readonly stack: string;
  readonly service?: string;
  readonly table?: string;
  readonly without?: readonly string[];
  readonly inPlace?: true;
  readonly dryRun?: true;
  readonly yes?: string;
}

const say = (text: string) => process.stdout.write(`${text}\n`);

/** `npm run ops -- restore …`. */
export function addRestoreCommands(program: Command, stackOption: Option): void {
  const restore = program
    .command("restore")
    .description(
      "Restore a dump into a new database, compare it with what was dumped, and put it in the place of the services' own when you " +
        "have typed its name; or, with --to-…, the whole server as it was at a point in time. What was there is kept.",
    )
    .argument("[backup]", "as backup list has it; the newest that has what is wanted")
    .addOption(stackOption)
    .option("--service <name>", "this one only: it stays in a database beside, or see --in-place")
    .option("--table <name>", "with --service: the rows of this table only, like gt.gt_raw_data")
    .option("--without <names...>", "all services but these, which begin empty where it takes the place of the whole")
    .option("--in-place", "with --service: in the place of what the service has now")
    .option("--dry-run", "check the file, and say what would be done")
    .option("--yes <name>", "what would be typed, for a script: the database's name, or the service's code")
    .action(async (word: string | undefined, options: RestoreOptions & PointOptions) => {
      const { service: name, table, without: left, inPlace, dryRun, yes, port } = options;
      if (hasTarget(options)) {
        const ofDumps = Object.entries({
          [word ?? ""]: word,
          "--service": name,
          "--table": table,
          "--in-place": inPlace,
        });
        const more = [...ofDumps, ["--dry-run", dryRun] as const, ["--yes", yes] as const];
        const given = more.flatMap(([option, value]) => (value === undefined ? [] : [option]));
        if (given.length === 0) return restorePoint(options);
        throw new OperatorError(`--to-… is of the whole server, and is looked at first: leave out ${given.join(", ")}`);
      }
      if (port !== undefined) throw new OperatorError("--port is of a restore to a point in time: add --to-…");
      if (name === undefined && (table !== undefined || inPlace)) {
        throw new OperatorError(`${inPlace ? "--in-place" : "--table"} is of one service: add --service NAME`);
      }
      if (name !== undefined && left !== undefined)
        throw new OperatorError("--service is one, --without all but some: one of both");
      if (table !== undefined && inPlace) throw new OperatorError("--table is restored beside: leave out --in-place");
      const id = word === undefined ? undefined : parseBackupId(word);
      const platform = await connect(options);
      const service = name === undefined ? undefined : findService(platform.plan.services, name);
      const without = left?.map((one) => findService(platform.plan.services, one).code);
      const { backups } = listBackups(platform.stack);
      const wanted = choose(backups, platform.plan, { id, service: service?.code, table, without });
      const newer = id === undefined ? newerThan(wanted.backup, backups) : [];
      for (const one of newer) say(`${one} is newer, and has no ${wanted.services.join(", ")}`);
      const ahead = id === undefined ? datedAhead(backups) : [];
      for (const one of ahead) say(`${one} is dated in the future, and is restored where it is named`);
      const work =
        service !== undefined && inPlace
          ? () => inItsPlace(platform, wanted, service, options)
          : () => beside(platform, wanted, options);
      return dryRun ? work() : alone(platform, work);
    });

  restore
    .command("swap")
    .description(
      "Put a database that was restored, or what a restore has kept, in its place again: the undo of a restore.",
    )
    .argument("<name>", "of the database or schema, as the restore has printed it")
    .addOption(stackOption)
    .option("--yes <name>", "what would be typed, for a script")
    .action(async (name: string, options: RestoreOptions) => {
      const platform = await connect(options);
      return alone(platform, () => putInPlace(platform, name, options));
    });

  restore
    .command("drop")
    .description("Drop what a restore has kept, or has restored beside, when nobody needs it any more.")
    .argument("<name>", "of the database or schema, as the restore has printed it")
    .addOption(stackOption)
    .option("--yes <name>", "what would be typed, for a script")
    .action(async (name: string, options: RestoreOptions) => {
      const platform = await connect(options);
      return alone(platform, async () => {
        const kept = await requireKept(platform, name);
        await confirm(name, `drops the ${kept.type} ${kept.name} with all there is in it`, options);
        await dropKept(platform, kept, steps(1, say));
      });
    });

  addPointInTimeCommands(restore, stackOption);
}

async function putInPlace(platform: Platform, name: string, options: RestoreOptions): Promise<void> {
  const service = serviceOfKept(platform.plan, name);
  if (service !== undefined) {
    const sessions = await sessionsOfService(platform, service);
    await confirm(service.code, `ends ${sessions} sessions of ${service.name}, and puts ${name} in its place`, options);
    return swapSchemas(platform, service, name, steps(2, say));
  }
  if ((await swapOf(platform, name)) !== undefined) {
    await swapDatabases(platform, name, steps(1, say));
    return;
  }
  await requireWhole(platform, name);
  await swap(platform, name, steps(2, say), options);
}

/** A running stack; Ctrl-C undoes what is half done. */
export async function connect({ stack: name }: Pick<RestoreOptions, "stack">): Promise<Platform> {
  const stack = readStack(name);
  requireEngine(stack.dockerHost);
  const signal = interrupted();
  return { ...(await platformOf(stack)), signal };
}

async function beside(platform: Platform, wanted: Wanted, options: RestoreOptions): Promise<void> {
  const mayReplace = isWhole(wanted, platform.plan);
  const name = `${live}_restored_${stamp(new Date())}`;
  const progress = steps(options.dryRun ? 1 : mayReplace ? 6 : 4, say);
  if (options.dryRun) {
    await checkFile(platform, wanted, progress);
    say(`would restore ${wanted.table ?? wanted.services.join(", ")} into a new database ${name}`);
    say(
      mayReplace
        ? `and ask whether it is to take the place of ${live}, whose sessions would be ended`
        : `beside ${live}`,
    );
    return;
  }
  await restoreBeside(platform, wanted, name, progress);
  const { primary } = findNodes(platform.stack);
  say(`to look at it: docker exec -it ${primary.container} psql -U postgres ${name}`);
  say(`to be rid of it: npm run ops -- restore drop ${name} --stack ${options.stack}`);
  if (!mayReplace) return;
  await swap(platform, name, progress, options).catch((error: unknown) => {
    if (error instanceof OperatorError)
      say(`to put it in the place of ${live} later: npm run ops -- restore swap ${name} --stack ${options.stack}`);
    throw error;
  });
}

async function swap(platform: Platform, name: string, progress: Steps, options: RestoreOptions): Promise<void> {
  const sessions = await sessionsOf(platform, live);
  await confirm(live, `ends ${sessions} sessions and puts ${name} in the place of ${live}, which is kept`, options);
  await swapDatabases(platform, name, progress);
}

async function inItsPlace(
  platform: Platform,
  wanted: Wanted,
  service: ResolvedService,
  options: RestoreOptions,
): Promise<void> {
  const progress = steps(options.dryRun ? 1 : 5, say);
  if (options.dryRun) {
    await checkFile(platform, wanted, progress);
    say(`would keep ${service.name} out, and restore it in the place of what it has, which is kept`);
    return;
  }
  const sessions = await sessionsOfService(platform, service);
  const what = `ends ${sessions} sessions of ${service.name}, keeps it out until it is restored, and keeps what it has now`;
  await confirm(service.code, what, options);
  await restoreInPlace(platform, wanted, service, progress);
}

/** @throws OperatorError where a person has typed another name */
async function confirm(name: string, what: string, { yes }: RestoreOptions): Promise<void> {
  if ((yes ?? (await typed(`This ${what}. Type ${name} to go on: `))) === name) return;
  throw new OperatorError(`nothing was changed: what was typed is not ${name}`);
}
