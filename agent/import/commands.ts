import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { inALine } from "../failure";
import { places, settingsVariable, type AgentSettings } from "../settings";
import { Store } from "../store";
import { keepLoaded } from "./keep";
import { loadFile } from "./load";
import { writeLoaded } from "./loaded";

/** `import …`: a file that somebody has made by hand becomes a backup. Two containers do it: one runs what is in it, one keeps what comes out. */
export function addImportCommands(program: Command, say: (line: string) => void): void {
  const imports = program.command("import").description("Makes a backup of a file that somebody has made by hand.");

  imports
    .command("load")
    .description("load standard input into a server of its own, and write to standard output what keep takes")
    .requiredOption("--scratch <folder>", "where the server is made")
    .option("--trust-owners", "none of them pretends in SQL to be another")
    .action(async ({ scratch, trustOwners }: { readonly scratch: string; readonly trustOwners?: true }) => {
      process.umask(0o077);
      const settings = JSON.parse(process.env[settingsVariable] ?? "") as AgentSettings;
      const stop = new AbortController();
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
      const folder = await mkdtemp(join(scratch, "import-"));
      const tell = (line: string) => process.stderr.write(`${line}\n`);
      try {
        const trustsOwners = trustOwners === true;
        const options = { places, signal: stop.signal, say: tell, trustsOwners };
        const loaded = await loadFile(process.stdin, folder, settings, options);
        await writeLoaded(loaded, join(folder, "dump"), process.stdout);
      } catch (error) {
        throw new Error(`error: ${inALine(error)}`, { cause: error });
      } finally {
        await rm(folder, { recursive: true, force: true });
        // What was not read would keep the process.
        process.stdin.destroy();
      }
    });

  imports
    .command("keep")
    .description("take what load has written into the store")
    .requiredOption("--name <name>", "of the file")
    .action(async ({ name }: { readonly name: string }) => {
      process.umask(0o077);
      const { id, logical, imported } = await keepLoaded(process.stdin, name, {
        places,
        store: new Store(places.store),
      });
      const tables = Object.values(logical?.tables ?? {});
      const rows = tables.reduce((sum, table) => sum + table.rows, 0);
      say(`${id}: ${tables.length} tables with ${rows} rows, of ${logical?.services.join(", ") ?? ""}; it is pinned`);
      logical?.leftOut.forEach(({ service, why }) => say(`it has no ${service}: ${why}`));
      imported?.unverified.forEach((what) => say(`cannot be verified: ${what}`));
    });
}
