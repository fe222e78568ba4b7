import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { forgetLibpqVariables } from "../../components/access/libpq-variables";
import { explain, OperatorError } from "../operator-error";
import { readRegistry } from "../registry-file";
import { projectFolder, readStackSettings } from "../stack-file";
import { computeAccess } from "./compute";
import { formatDocument } from "./document";
import { formatPage } from "./page";

const program = new Command("npm run access --")
  .description("Writes services/ACCESS.md and services/access.json: who may do what, as PostgreSQL sees the plan.")
  .option("--check", "write nothing; exit status 1 where they are not what the registry means")
  .allowExcessArguments(false);

async function main(): Promise<void> {
  const { check } = program.parse().opts<{ readonly check?: true }>();
  forgetLibpqVariables(process.env);
  // Its end takes the server with it; nothing is written before all is computed.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
  const settings = readStackSettings("dev");
  const { plan, matrix } = await computeAccess(await readRegistry(settings), settings);
  const files = { "services/ACCESS.md": formatPage(plan, matrix), "services/access.json": formatDocument(matrix) };
  const stale = Object.entries(files).filter(([name, text]) => {
    const path = join(projectFolder, name);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  if (check !== undefined && stale.length > 0) {
    throw new OperatorError(
      `${stale.map(([name]) => name).join(", ")}: not what services/registry.ts means: npm run access`,
    );
  }
  for (const [name, text] of stale) writeFileSync(join(projectFolder, name), text);
  const said = stale.length === 0 ? "up to date" : "written";
  for (const name of Object.keys(files))
    process.stdout.write(`${name}: ${stale.some(([other]) => other === name) ? said : "up to date"}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
