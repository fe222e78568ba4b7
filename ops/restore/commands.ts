import type { Command, Option } from "commander";
import { addPointInTimeCommands, restorePoint, type PointOptions } from "./point-commands";

/** `npm run ops -- restore …`. */
export function addRestoreCommands(program: Command, stackOption: Option): void {
  const restore = program
    .command("restore")
    .description("Bring back what was: the whole server as it was at a point in time, looked at first.")
    .addOption(stackOption)
    .action((options: PointOptions) => restorePoint(options));
  addPointInTimeCommands(restore, stackOption);
}
