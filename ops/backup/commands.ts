import type { Command, Option } from "commander";
import { backupNow, kindsOf, parseBackupId, runAgent } from "./agent";
import { listBackups, renderBackups } from "./list";
import { importable, importBackup } from "./import";
import { findService } from "../connect";
import { requireEngine } from "../engine";
import { interrupted } from "../interrupted";
import { readRegistry } from "../registry-file";
import { readStack } from "../stack-file";

const say = (text: string) => process.stdout.write(`${text}\n`);

/** `npm run ops -- backup …`. */
export function addBackupCommands(program: Command, stackOption: Option): void {
  const backup = program
    .command("backup")
    .description("Backups: make one now, list them, look at them again, keep one for ever.");
  const backupCommand = (name: string, description: string) =>
    backup.command(name).description(description).addOption(stackOption);
  const stackOf = ({ stack: name }: { readonly stack: string }) => {
    const stack = readStack(name);
    requireEngine(stack.dockerHost);
    return stack;
  };

  backupCommand("now", "Make a backup now, proven as those of the night are.")
    .argument("[kind]", "logical (pg_dump), physical (pg_basebackup), or all", "all")
    .action((word: string, options: { stack: string }) => {
      const kinds = kindsOf(word);
      backupNow(stackOf(options), kinds);
    });

  backupCommand("list", "Every backup there is, and which points in time can be restored.")
    .option("--json", "for a machine")
    .action(({ json, ...options }: { stack: string; json?: true }) => {
      const list = listBackups(stackOf(options));
      say(json ? JSON.stringify(list, null, 2) : renderBackups(list));
    });

  backupCommand("contents", "Every table and sequence a dump has of one service, with its rows.")
    .argument("<id>", "as list has it")
    .requiredOption("--service <name>", "name or code, e.g. gatherer or gt")
    .action(async (word: string, { service: name, ...options }: { stack: string; service: string }) => {
      const id = parseBackupId(word);
      const stack = stackOf(options);
      const { code } = findService(await readRegistry(stack.settings), name);
      runAgent(stack, "backup", "contents", id, "--service", code);
    });

  backupCommand("verify", "Read every byte of the backups and of the WAL again. Exit status 1 where one was changed.")
    .argument("[id]", "of one backup, as list has it", "all")
    .action((word: string, options: { stack: string }) => {
      const id = word === "all" ? word : parseBackupId(word);
      runAgent(stackOf(options), "backup", "verify", id);
    });

  backupCommand(
    "drill",
    "Restore the newest backups now, as each week, into servers of their own, and compare rows, values and access. Exit status 1 where they are not what they were.",
  ).action((options: { stack: string }) => {
    runAgent(stackOf(options), "drill", "drill", "now");
  });

  backupCommand(
    "import",
    `Make a backup of one file ${importable}, with gzip or without; it is pinned. Tells what cannot be verified.`,
  )
    .argument("<file>", "such as backup_20261127.sql or backup_20261127.tar.gz")
    .option("--trust-owners", "SQL in which an owner of a service could have pretended to be another, too")
    .action(async (file: string, { trustOwners, ...options }: { stack: string; trustOwners?: true }) => {
      await importBackup(stackOf(options), file, { trustsOwners: trustOwners === true, signal: interrupted() });
    });

  for (const [name, description] of [
    ["pin", "Keep a backup for ever."],
    ["unpin", "Keep it as long as others of its class."],
  ] as const) {
    backupCommand(name, description)
      .argument("<id>", "as list has it")
      .action((word: string, options: { stack: string }) => {
        const id = parseBackupId(word);
        runAgent(stackOf(options), "backup", name, id);
      });
  }
}
