import { Option, type Command } from "commander";
import { firstOf } from "../failure";
import { connectAsApp, findPrimary } from "../server";
import { places, readSettings } from "../settings";
import { readContents, Store } from "../store";
import { differencesOf, tableDifferences } from "./compare";

interface CompareOptions {
  readonly database: string;
  readonly services: string;
  readonly table?: string;
}

/** The part of the agent's command line that `npm run ops -- restore` asks. */
export function addRestoreCommands(program: Command): void {
  program
    .command("compare")
    .description("a database that was restored on the primary with the manifest of its backup; differences as JSON")
    .argument("<id>")
    .requiredOption("--database <name>", "on the primary")
    .requiredOption("--services <codes>", "with a comma between them")
    .addOption(new Option("--table <name>", "this one only, without its indexes: schema.table"))
    .action(async (id: string, { database, services, table }: CompareOptions) => {
      const backup = new Store(places.store).list().backups.find((one) => one.id === id);
      if (backup?.manifest.logical === undefined) throw new Error(`there is no dump ${id}`);
      const contents = readContents(backup);
      const settings = readSettings(places);
      const { dumpMinutes: minutes } = settings;
      const { host } = await findPrimary(settings, places);
      const wrong: string[] = [];
      // By itself: what one of them is found to have is neither too much to be told, nor in front of what others have.
      for (const service of services.split(",")) {
        const reader = await connectAsApp(host, { ...settings, database }, places);
        const differing =
          table === undefined
            ? differencesOf(reader, contents, [service], { minutes })
            : tableDifferences(reader, contents, table, minutes);
        wrong.push(...firstOf(await differing.finally(() => reader.end()), service));
      }
      process.stdout.write(`${JSON.stringify(wrong)}\n`);
    });
}
