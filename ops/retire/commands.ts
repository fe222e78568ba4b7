import type { Command, Option } from "commander";
import { findService } from "../connect";
import { requireEngine } from "../engine";
import { OperatorError } from "../operator-error";
import { parseBackupId } from "../backup/agent";
import { readRegistry } from "../registry-file";
import { alone } from "../restore/alone";
import { connect } from "../restore/commands";
import { steps } from "../restore/steps";
import { readStack } from "../stack-file";
import { typed } from "../typed";
import { fieldsOf, proveRetirement, requireRetirable } from "./retire";
import { bringBack, chooseKept, requireBack } from "./unretire";
import { resolveService } from "../../services/service";

interface RetireOptions {
  readonly stack: string;
  readonly yes?: string;
}

interface UnretireOptions extends RetireOptions {
  readonly backup?: string;
  readonly unpin?: true;
}

const say = (text: string) => process.stdout.write(`${text}\n`);

/** `npm run ops -- retire` and `unretire`. */
export function addRetireCommands(program: Command, stackOption: Option): void {
  program
    .command("retire")
    .description(
      "The end of a frozen service: makes a backup of it now, keeps it for ever, has it restored by a drill, and prints the two " +
        "lines of services/registry.ts with which up drops its roles and its schema. Drops nothing itself.",
    )
    .argument("<service>", "name or code of a frozen service, e.g. gatherer or gt")
    .addOption(stackOption)
    .option("--yes <code>", "what would be typed, for a script: the service's code")
    .action(async (name: string, options: RetireOptions) => {
      const stack = readStack(options.stack);
      const service = resolveService(findService(await readRegistry(stack.settings), name));
      requireEngine(stack.dockerHost);
      requireRetirable(stack, service);
      const backup = await proveRetirement(stack, service, steps(3, say));
      const what = `With the lines that come now, up drops ${service.name} on ${stack.name} with all its data.`;
      if ((options.yes ?? (await typed(`${what} Type ${service.code} to go on: `))) !== service.code) {
        throw new OperatorError(
          `nothing was retired: what was typed is not ${service.code}; the backup stays for ever, until ` +
            `npm run ops -- backup unpin ${backup} --stack ${stack.name}`,
        );
      }
      say(`In services/registry.ts, in the literal of ${service.name}, in place of its lifecycle:`);
      say("");
      for (const line of fieldsOf(service, stack.name, backup)) say(`    ${line}`);
      say("");
      say(`Then npm run up -- ${stack.name} drops it, after it has compared the backup with what is there.`);
      say("When every stack has done so, the line may go.");
    });

  program
    .command("unretire")
    .description(
      "Bring a service back from the backup it was retired with, when its line is back without lifecycle and retiredBackups and up " +
        "has made its roles and an empty schema: restored, compared, and tried by login.",
    )
    .argument("<service>", "its name or code")
    .addOption(stackOption)
    .option("--backup <id>", "as backup list has it; the newest that is pinned and has the service")
    .option("--unpin", "keep the backup no longer than others when all is well")
    .option("--yes <code>", "what would be typed, for a script: the service's code")
    .action(async (name: string, options: UnretireOptions) => {
      const stack = readStack(options.stack);
      const service = resolveService(findService(await readRegistry(stack.settings), name));
      const id = options.backup === undefined ? undefined : parseBackupId(options.backup);
      requireBack(stack, service);
      const platform = await connect(options);
      const wanted = chooseKept(stack, service, id);
      const what = `This keeps ${service.name} out until it is what it was in ${wanted.backup.id}.`;
      if ((options.yes ?? (await typed(`${what} Type ${service.code} to go on: `))) !== service.code) {
        throw new OperatorError(`nothing was changed: what was typed is not ${service.code}`);
      }
      await alone(platform, () => bringBack(platform, service, wanted, { unpin: options.unpin === true }, say));
    });
}
