import { Command } from "commander";
import { commentLimit } from "../access/diff-page";
import { explain, OperatorError } from "../operator-error";
import { cell, code } from "../markdown";
import { formatPreview } from "../preview/page";
import { runPreview } from "../preview/run-preview";
import { readStack } from "../stack-file";
import { comment, repositoryOfWorkflow } from "./api";
import { pullRequest } from "./event";

// What up would do with each stack, as the pull request's comment. It runs the branch's own program with the stacks' secrets: for
// branches of this repository only.

const program = new Command("npm run review:preview --")
  .description("Preview stacks with a refresh and say what up would do, as one comment of the pull request.")
  .argument("<stacks...>", "each has a file Pulumi.<stack>.yaml");

async function main(): Promise<void> {
  const [stacks] = program.parse().processedArgs as [string[]];
  for (const stack of stacks) readStack(stack); // all names are looked at before the first of them is previewed
  const repository = repositoryOfWorkflow(process.env);
  const { number } = pullRequest(process.env);
  // The mark in front of it is part of the comment.
  const limit = Math.floor((commentLimit - 100) / stacks.length);
  const summaries = stacks.map((stack) => summarise(stack, limit));
  const text = summaries.map((summary) => summary.text).join("\n");
  await comment(repository, number, "preview", text);
  process.stdout.write(text);
  if (summaries.some(({ failed }) => failed)) process.exitCode = 1;
}

/** Or why that cannot be said, which whoever reads the pull request must see there. */
function summarise(stack: string, limit: number): { readonly text: string; readonly failed: boolean } {
  try {
    const preview = runPreview(stack);
    return {
      text: formatPreview(preview, limit),
      failed: preview.notices.some(({ severity }) => severity === "error"),
    };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    const why = cell(error.message).slice(0, limit / 2);
    return { text: `## Preview of stack ${code(stack)}\n\nNot known: ${why}\n`, failed: true };
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
});
