import { compareAccess } from "../access/changes";
import { assessAll, commentLimit, formatChanges } from "../access/diff-page";
import { accessFile, parseDocument } from "../access/document";
import { cell } from "../markdown";
import { serviceSchemas } from "../access/risk";
import { explain, OperatorError } from "../operator-error";
import { comment, fileAt, forkPoint, repositoryOfWorkflow, type Repository } from "./api";
import { pullRequest } from "./event";

// What a pull request changes of who may do what, as its comment. It runs with the right to comment, so it is the base's own code,
// and of the pull request it reads that one file: nothing of it is checked out, built or run.

/** A text of access.json and where it was found. */
interface Found {
  readonly text: string | undefined;
  readonly where: string;
}

async function find(repository: Repository, commit: string): Promise<Found> {
  return { text: await fileAt(repository, commit, accessFile), where: `${accessFile} at ${commit.slice(0, 12)}` };
}

/** What it changes; or why that cannot be said, which whoever reads the pull request must see there. */
function describe(base: Found, head: Found): string {
  try {
    const before = base.text === undefined ? { roles: [], access: [] } : parseDocument(base.text, base.where);
    if (head.text === undefined) throw new OperatorError(`${head.where} is gone; npm run access writes it`);
    const after = parseDocument(head.text, head.where);
    const changes = assessAll(compareAccess(before, after), serviceSchemas([...before.roles, ...after.roles]));
    // The mark in front of it is part of the comment.
    return formatChanges(changes, { limit: commentLimit - 100, whole: "the diff of `services/ACCESS.md`" });
  } catch (error) {
    if (error instanceof OperatorError) return `## Access changes\n\nNot known: ${cell(error.message)}\n`;
    throw error;
  }
}

async function main(): Promise<void> {
  const repository = repositoryOfWorkflow(process.env);
  const pull = pullRequest(process.env);
  const parted = await forkPoint(repository, pull.base.sha, pull.head.sha);
  const text = describe(await find(repository, parted), await find(repository, pull.head.sha));
  await comment(repository, pull.number, "access", text);
  process.stdout.write(text);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
});
