import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { AccessMatrix } from "../../components/access/matrix";
import { explain, OperatorError } from "../operator-error";
import { projectFolder } from "../stack-file";
import { compareAccess } from "./changes";
import { assessAll, formatChanges, type AssessedChange } from "./diff-page";
import { accessFile as path, parseDocument } from "./document";
import { commitOf, fileAt, forkPoint } from "./git-file";
import { serviceSchemas } from "./risk";

const program = new Command("npm run access:diff --")
  .description(
    `What a branch changes of who may do what, as Markdown for a pull request: compares ${path} of two commits. ` +
      "Needs git only; runs nothing of either.",
  )
  .requiredOption("--base <ref>", "the branch it is to be merged into, e.g. main; compared is where the two parted")
  .option("--head <ref>", "the branch (default: the files as they are now, committed or not)")
  .option("--json", "every change with its risk, for a machine")
  .addOption(new Option("--fail-on <risk>", "exit status 2 where a change has that risk").choices(["high"]))
  .option("--whole <file>", "write all of it there too: a comment takes 65,536 characters, and the rest is left out")
  .allowExcessArguments(false);

interface Options {
  readonly base: string;
  readonly head?: string;
  readonly json?: true;
  readonly failOn?: "high";
  readonly whole?: string;
}

function main(): void {
  const options = program.parse().opts<Options>();
  const head = commitOf(projectFolder, "--head", options.head ?? "HEAD");
  const base = forkPoint(projectFolder, commitOf(projectFolder, "--base", options.base), head);
  const before = atCommit(base) ?? { roles: [], access: [] };
  const after = options.head === undefined ? inFolder() : atCommit(head);
  if (after === undefined) throw new OperatorError(`${path}: not there; npm run access writes it`);

  const changes = assessAll(compareAccess(before, after), serviceSchemas([...before.roles, ...after.roles]));
  const whole = options.whole;
  if (whole !== undefined) writeFileSync(whole, formatChanges(changes, { limit: Infinity, whole }));
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ base, head: options.head === undefined ? null : head, changes: changes.map(plain) }, null, 2)}\n`
      : formatChanges(changes, {
          whole: whole === undefined ? "`npm run access:diff -- --json`" : `file \`${whole}\` of this run`,
        }),
  );
  if (options.failOn !== undefined && changes.some(({ risk }) => risk === options.failOn)) process.exitCode = 2;
}

function plain({ of, effect, role, type, name, before, after, risk, reasons }: AssessedChange): object {
  return {
    effect,
    service: of?.service ?? null,
    tier: of?.tier ?? null,
    role,
    type,
    name,
    before,
    after,
    risk,
    reasons,
  };
}

function atCommit(commit: string): AccessMatrix | undefined {
  const text = fileAt(projectFolder, commit, path);
  return text === undefined ? undefined : parseDocument(text, `${path} at ${commit.slice(0, 12)}`);
}

function inFolder(): AccessMatrix | undefined {
  const file = join(projectFolder, path);
  return existsSync(file) ? parseDocument(readFileSync(file, "utf8"), path) : undefined;
}

try {
  main();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}
