import type { Command } from "commander";
import type { LogicalContents } from "./manifest";
import { places } from "./settings";
import { readContents, Store } from "./store";
import { schemaOf } from "./summary";

/** `contents ID --service CODE`: what `list` only counts. */
export function addContentsCommand(program: Command, say: (line: string) => void): void {
  program
    .command("contents")
    .description("every table and sequence a dump has of one service, a line each")
    .argument("<id>")
    .requiredOption("--service <code>", "whose")
    .action((id: string, { service }: { readonly service: string }) => {
      const dumps = new Store(places.store).list().backups.filter(({ manifest }) => manifest.logical !== undefined);
      const dump = dumps.find((backup) => backup.id === id);
      if (dump === undefined) {
        throw new Error(`no dump ${id}; there are ${dumps.map((backup) => backup.id).join(", ") || "none"}`);
      }
      if (dump.services?.includes(service) !== true) {
        throw new Error(`${id} has no ${service}; it has ${dump.services?.join(", ") ?? "none"}`);
      }
      contentLines(readContents(dump), service).forEach(say);
    });
}

/** `gt.gt_raw_data: 1000 rows`; tables first, each by name. */
export function contentLines(
  { tables, sequences }: Pick<LogicalContents, "tables" | "sequences">,
  service: string,
): readonly string[] {
  const own = <T>(all: Readonly<Record<string, T>>) =>
    Object.entries(all)
      .filter(([name]) => schemaOf(name) === service)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    ...own(tables).map(([name, { rows }]) => `${name}: ${rows} ${rows === 1 ? "row" : "rows"}`),
    ...own(sequences).map(([name, { last }]) => `sequence ${name}: ${last}`),
  ];
}
