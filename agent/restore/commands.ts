import { Option, type Command } from "commander";
import { connectAsApp, findPrimary } from "../server";
import { places, readSettings } from "../settings";
import { Store } from "../store";
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
      const logical = new Store(places.store).list().backups.find((backup) => backup.id === id)?.manifest.logical;
      if (logical === undefined) throw new Error(`there is no dump ${id}`);
      const settings = readSettings(places);
      const { host } = await findPrimary(settings, places);
      const reader = await connectAsApp(host, { ...settings, database }, places);
      const differing =
        table === undefined
          ? differencesOf(reader, logical, services.split(","), { minutes: settings.dumpMinutes })
          : tableDifferences(reader, logical, table, settings.dumpMinutes);
      const wrong = await differing.finally(() => reader.end());
      process.stdout.write(`${JSON.stringify(wrong)}\n`);
    });
}
