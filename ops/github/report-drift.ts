import { Command } from "commander";
import { commentLimit } from "../access/diff-page";
import { runAudit } from "../audit/run";
import { targetOfStack } from "../audit/target";
import { cell, code } from "../markdown";
import { explain, OperatorError } from "../operator-error";
import { formatPreview, isQuiet } from "../preview/page";
import { runPreview } from "../preview/run-preview";
import { readStack, type Stack } from "../stack-file";
import { issue, repositoryOfWorkflow } from "./api";
import { auditPage } from "./audit-page";

// Every night: are the servers what the main branch says? What is not stands in one issue, which is closed when it is mended.

const program = new Command("npm run report:drift --")
  .description(
    "Audit stacks and preview them with a refresh; what differs stands in one issue of the repository, opened, edited or closed. " +
      "Exit status 1 where it could not look.",
  )
  .argument("<stacks...>", "each has a file Pulumi.<stack>.yaml");

async function main(): Promise<void> {
  const [names] = program.parse().processedArgs as [string[]];
  const stacks = names.map((name) => readStack(name));
  const repository = repositoryOfWorkflow(process.env);
  const limit = Math.floor((commentLimit - 200) / stacks.length / 2);
  const reports: Report[] = [];
  for (const stack of stacks) {
    reports.push(await lookAt(() => auditOf(stack, limit), `Audit of stack ${code(stack.name)}`));
    reports.push(await lookAt(() => Promise.resolve(previewOf(stack, limit)), `Preview of stack ${code(stack.name)}`));
  }
  const text = reports.map((report) => report.text).filter((part) => part !== undefined);
  await issue(repository, {
    mark: "drift",
    title: "Drift: the servers are not what the main branch says",
    text: text.length === 0 ? undefined : text.join("\n"),
  });
  process.stdout.write(text.length === 0 ? "No drift.\n" : text.join("\n"));
  if (reports.some(({ failed }) => failed)) process.exitCode = 1;
}

interface Report {
  /** Markdown; undefined where all is well. */
  readonly text: string | undefined;
  readonly failed: boolean;
}

/** What could not be looked at is told as well: silence would pass for peace. */
async function lookAt(look: () => Promise<string | undefined>, heading: string): Promise<Report> {
  try {
    return { text: await look(), failed: false };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { text: `## ${heading}\n\nNot known: ${cell(error.message)}\n`, failed: true };
  }
}

async function auditOf(stack: Stack, limit: number): Promise<string | undefined> {
  const findings = await runAudit(stack, targetOfStack(stack));
  return findings.length === 0 ? undefined : auditPage(stack.name, findings, limit);
}

function previewOf({ name }: Stack, limit: number): string | undefined {
  const preview = runPreview(name);
  return isQuiet(preview) ? undefined : formatPreview(preview, limit);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
});
