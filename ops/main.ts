import { join } from "node:path";
import { Command, Option } from "commander";
import {
  connectionOfSandbox,
  connectionOfStack,
  findLogin,
  findService,
  findTier,
  formatConnection,
  openPsql,
  withAuthority,
  type Format,
} from "./connect";
import { printable } from "../services/printable";
import { tiers } from "../services/service";
import { renderFindings, renderFixes } from "./audit/render";
import { runAudit } from "./audit/run";
import { targetOfSandbox, targetOfStack, targetOfUrl } from "./audit/target";
import { addBackupCommands } from "./backup/commands";
import { endSessionsOfService } from "./end-sessions";
import { requireEngine } from "./engine";
import { startNodes, stopNodes } from "./lifecycle/nodes";
import { wipe } from "./lifecycle/wipe";
import { explain } from "./operator-error";
import { readRegistry } from "./registry-file";
import { addRecoverCommand } from "./recover/commands";
import { addRestoreCommands } from "./restore/commands";
import { parseFolder } from "./sandbox/folder";
import { addRetireCommands } from "./retire/commands";
import { sandboxFiles } from "./sandbox/sandbox";
import { projectFolder, readStack } from "./stack-file";
import { backupLines, backupProblems, collectBackups } from "./status/backup";
import { collectStatus } from "./status/collect";
import { problemsOf } from "./status/problems";
import { renderStatus } from "./status/render";

const say = (text: string) => process.stdout.write(`${text}\n`);

const program = new Command("npm run ops --")
  .description("What an operator does with a stack's servers.")
  .showHelpAfterError("(--help lists the commands)")
  // Else `restore finish --stack prod` would be restore's own --stack, and finish would do its work on dev.
  .enablePositionalOptions();
const stackOption = new Option("--stack <name>", "the stack, which has a file Pulumi.<name>.yaml").default("dev");

interface ConnectOptions {
  readonly stack: string;
  readonly format: Format;
  readonly network?: true;
  readonly psql?: true;
  readonly sandbox?: string | true;
}

program
  .command("connect")
  .description("Print how a service's role connects, or open psql as it.")
  .argument("<service>", "name or code of a service, e.g. gatherer or gt")
  .argument("[tier]", "owner, app or user", "app")
  .addOption(stackOption)
  .addOption(
    new Option("--format <format>", "what to print").choices(["url", "multi-host-url", "env", "json"]).default("url"),
  )
  .option("--network", "as a container on the private network sees it")
  .addOption(
    new Option("--psql", "open psql in the primary's container instead").conflicts(["format", "network", "sandbox"]),
  )
  .addOption(
    new Option("--sandbox [folder]", "the database of npm start instead of a stack")
      .argParser(parseFolder)
      .conflicts(["stack", "network"]),
  )
  .action(async (name: string, tier: string, options: ConnectOptions) => {
    const stack = readStack(options.stack);
    const login = findLogin(await readRegistry(stack.settings), name, tier);
    if (options.psql) {
      process.exitCode = openPsql(login, stack);
      return;
    }
    const folder = typeof options.sandbox === "string" ? options.sandbox : join(projectFolder, ".sandbox");
    const connection =
      options.sandbox === undefined
        ? withAuthority(connectionOfStack(login, stack), stack)
        : connectionOfSandbox(login, sandboxFiles(folder).credentials);
    say(formatConnection(connection, options.format, options.network ?? false));
  });

program
  .command("status")
  .description(
    "Nodes, roles, lag, connections, sizes; asks the Docker engine only. Exit status 1 when something is wrong.",
  )
  .addOption(stackOption)
  .option("--json", "for a machine")
  .action(async ({ stack: name, json }: { stack: string; json?: true }) => {
    const stack = readStack(name);
    const services = await readRegistry(stack.settings);
    requireEngine(stack.dockerHost);
    const nodes = collectStatus(stack);
    const backups = collectBackups(stack);
    const problems = [...problemsOf(nodes, stack), ...backupProblems(backups, services, stack.name)];
    say(
      json
        ? JSON.stringify({ stack: name, nodes, backups, problems }, null, 2)
        : renderStatus({ nodes, services, stack, problems, more: backupLines(backups) }),
    );
    if (problems.length > 0) process.exitCode = 1;
  });

interface AuditOptions {
  readonly stack: string;
  readonly sandbox?: string | true;
  readonly url?: string;
  readonly json?: true;
  readonly fixSql?: true;
  readonly destructive?: true;
}

program
  .command("audit")
  .description(
    "Compare a running server with the plan: privileges, roles, owners, guard, passwords. Exit status 0 where they are the same, " +
      "2 where not, 1 where it could not look.",
  )
  .addOption(stackOption)
  .addOption(
    new Option("--sandbox [folder]", "the database of npm start instead of a stack")
      .argParser(parseFolder)
      .conflicts(["stack", "url"]),
  )
  .addOption(
    new Option("--url <url>", "any server, as superuser, its password in PGPASSWORD; no service logs in").conflicts([
      "stack",
    ]),
  )
  .option("--json", "for a machine")
  .addOption(
    new Option("--fix-sql", "print the SQL that repairs it, one transaction; nothing is run").conflicts(["json"]),
  )
  .option("--destructive", "with --fix-sql: what somebody may miss too, such as a role nobody declared")
  .action(async (options: AuditOptions) => {
    const stack = readStack(options.stack);
    const target =
      options.url !== undefined
        ? targetOfUrl(options.url)
        : options.sandbox !== undefined
          ? targetOfSandbox(typeof options.sandbox === "string" ? options.sandbox : undefined)
          : targetOfStack(stack);
    const findings = await runAudit(stack, target);
    say(
      options.fixSql
        ? renderFixes(findings, options.destructive ?? false)
        : options.json
          ? JSON.stringify({ target: target.name, triedLogins: target.logins !== undefined, findings }, null, 2)
          : renderFindings(findings, target.name, target.logins !== undefined),
    );
    if (findings.length > 0) process.exitCode = 2;
  });

addBackupCommands(program, stackOption);
addRestoreCommands(program, stackOption);
addRetireCommands(program, stackOption);
addRecoverCommand(program);

program
  .command("stop")
  .description("Stop the servers cleanly, the primary first. Everything is kept; npm run ops -- start goes on.")
  .addOption(stackOption)
  .action(({ stack: name }: { stack: string }) => {
    const stack = readStack(name);
    requireEngine(stack.dockerHost);
    stopNodes(stack, say);
  });

program
  .command("start")
  .description("Start the servers that are stopped, the primary first, until they accept connections.")
  .addOption(stackOption)
  .action(async ({ stack: name }: { stack: string }) => {
    const stack = readStack(name);
    requireEngine(stack.dockerHost);
    await startNodes(stack, say);
    const nodes = collectStatus(stack);
    const problems = problemsOf(nodes, stack);
    say(problems.length === 0 ? "All is well." : problems.map(printable).join("\n"));
    if (problems.length > 0) process.exitCode = 1;
  });

program
  .command("end-sessions")
  .description("End the sessions of a service, on both servers. Its roles may log in again at once.")
  .argument("<service>", "name or code of a service, e.g. gatherer or gt")
  .argument("[tier]", "owner, app or user; all of them where it is left out")
  .option("--kill", "kill those that have not ended after 10 s: the server ends everybody's sessions and recovers")
  .addOption(stackOption)
  .action(async (name: string, tier: string | undefined, options: { stack: string; kill?: true }) => {
    const stack = readStack(options.stack);
    const service = findService(await readRegistry(stack.settings), name);
    requireEngine(stack.dockerHost);
    endSessionsOfService(service, tier === undefined ? tiers : [findTier(tier)], stack, say, options);
  });

program
  .command("wipe")
  .description("Remove a stack with all its data, protected or not, after its name was typed.")
  .requiredOption("--stack <name>", "the stack, which has a file Pulumi.<name>.yaml")
  .option("--confirm <name>", "the stack's name once more, instead of the question")
  .action(async ({ stack: name, confirm }: { stack: string; confirm?: string }) => {
    const stack = readStack(name);
    requireEngine(stack.dockerHost);
    await wipe(stack, confirm, say);
  });

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
});
