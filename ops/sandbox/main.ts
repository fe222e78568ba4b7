import { existsSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline/promises";
import { Command, InvalidArgumentError } from "commander";
import { forgetLibpqVariables } from "../../components/access/libpq-variables";
import { tierRole, tiers } from "../../services/service";
import { describeViolation } from "../effect-test/attempt";
import { triedTables } from "../effect-test/existing-tables";
import { explain, OperatorError } from "../operator-error";
import { readRegistry } from "../registry-file";
import { projectFolder, readStackSettings } from "../stack-file";
import { table } from "../table";
import { leftovers, isServed, stopLeftover } from "./embedded-server";
import { parseFolder, shellWord } from "./folder";
import { refuseSecond, sandboxFiles, startSandbox, type Sandbox } from "./sandbox";

interface Options {
  readonly port: number;
  readonly replicaPort?: number;
  readonly folder: string;
  readonly once?: true;
  readonly reset?: true;
  readonly yes?: true;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

const program = new Command("npm start --")
  .description(
    "The central database on an embedded PostgreSQL 16: every service's roles, schema and grants, on this machine.",
  )
  .option("--port <number>", "port on 127.0.0.1", parsePort, 5432)
  .option("--replica-port <number>", "port of the replica (default: --port and 1)", parsePort)
  .option("--once", "start, apply, test, stop; exit status 1 when the effect test finds a violation")
  .option("--reset", "delete the sandbox's data and passwords first (asks)")
  .option("--yes", "do not ask")
  .option("--folder <folder>", "where data and passwords are kept", parseFolder, join(projectFolder, ".sandbox"))
  .allowExcessArguments(false);

async function main(): Promise<void> {
  const options = program.parse().opts<Options>();
  forgetLibpqVariables(process.env);
  const running: { sandbox?: Sandbox; stopping?: Promise<void> } = {};
  // While the server is starting there is nothing to stop but this process; its exit takes the server with it.
  const stop = (status: number) =>
    (running.stopping ??= (async () => {
      await running.sandbox?.stop();
      say(running.sandbox === undefined ? "stopped before it was ready" : "stopped; the data stay");
      process.exit(status);
    })());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));

  if (options.reset) await reset(options);
  const replicaPort = options.replicaPort ?? (options.port < 65_535 ? options.port + 1 : options.port - 1);
  if (replicaPort === options.port) {
    throw new OperatorError(`--replica-port ${replicaPort} is the primary's: choose another`);
  }
  const settings = readStackSettings("dev");
  const services = await readRegistry(settings);
  const sandbox = await startSandbox({ ...options, replicaPort, services, settings, report: say });
  running.sandbox = sandbox;
  say(overview(sandbox, options.port, replicaPort));
  if (options.once) return stop(sandbox.effect.violations.length === 0 ? 0 : 1);

  say("Ctrl-C stops the servers; the data stay.");
  const log = await sandbox.ended;
  if (running.stopping === undefined) {
    await sandbox.stop();
    throw new OperatorError(`a server ended by itself; see ${log}`);
  }
}

async function reset({ folder, yes }: Options): Promise<void> {
  if (!existsSync(folder)) return;
  const files = sandboxFiles(folder);
  if (!existsSync(join(files.data, "PG_VERSION")) && !existsSync(files.credentials)) {
    throw new OperatorError(`${folder} is no sandbox (no data/PG_VERSION, no credentials.env): nothing was deleted`);
  }
  refuseSecond(files.lock);
  if (!yes) {
    if (!process.stdin.isTTY) throw new OperatorError(`--reset deletes ${folder}: add --yes to confirm`);
    const prompt = createInterface({ input: process.stdin, output: process.stdout });
    // Ctrl-C and Ctrl-D are a no.
    const answer = await prompt.question(`Delete all data and passwords in ${folder}? [y/N] `).catch(() => "n");
    prompt.close();
    if (!/^y(es)?$/i.test(answer)) throw new OperatorError("nothing was deleted");
  }
  for (const data of [files.replicaData, files.data]) if (isServed(data)) stopLeftover(data);
  const own = [...Object.values<string>({ ...files }), ...leftovers(files.data), ...leftovers(files.replicaData)];
  for (const file of own) rmSync(file, { recursive: true, force: true });
}

function overview({ plan, version, credentialsFile, effect }: Sandbox, port: number, replicaPort: number): string {
  const roles = plan.roles.filter(({ of }) => of !== null).length;
  const rows = plan.services.map(({ name, code, tables }) => [
    name,
    code,
    ...tiers.map((tier) => tierRole(code, tier)),
    tables.join(", "),
  ]);
  const credentials = shellWord(relative(process.cwd(), credentialsFile));
  const example = plan.services[0];
  const url = example === undefined ? "POSTGRES_URL" : `${tierRole(example.code, "app").toUpperCase()}_URL`;
  return [
    "",
    `PostgreSQL ${version}, database ${plan.database}: primary on 127.0.0.1:${port}, replica on 127.0.0.1:${replicaPort}`,
    "",
    table([["service", "schema", "owner", "app", "user", "tables (examples)"], ...rows]),
    "",
    `Passwords and URLs are in ${credentials}; connect as the app tier of ${example?.name ?? "a service"}:`,
    `  set -a; . ${credentials}; psql "$${url}"`,
    "",
    ...(effect.violations.length === 0
      ? [`Effect test: ${effect.attempts} attempts as ${roles} roles, every outcome as planned.`]
      : [
          `Effect test: ${effect.violations.length} VIOLATIONS in ${effect.attempts} attempts as ${roles} roles:`,
          ...effect.violations.map((violation) => `  ${describeViolation(violation)}`),
        ]),
    ...effect.samples.map(
      ({ schema, tables }) =>
        `Of the ${tables} tables of ${schema}, ${triedTables} were tried; the catalog was read of all.`,
    ),
  ].join("\n");
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535)
    throw new InvalidArgumentError("expected a port from 1 to 65535.");
  return port;
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
