import type { Command, Option } from "commander";
import { database } from "../../../components/settings-rules";
import { requireEngine } from "../../engine";
import { refuseWhileUpdating } from "../../lifecycle/update-lock";
import { pulumiEnvironment } from "../../pulumi-cli";
import { readStack, type Stack } from "../../stack-file";
import { platformOf } from "../platform";
import { finishPoint, undoPoint } from "./finish";
import { discardPoint, restoreToPoint } from "./point-in-time";
import { parseLookPort, parseTarget, type TargetOptions } from "./target";

const say = (text: string) => process.stdout.write(`${text}\n`);

export interface PointOptions extends TargetOptions {
  readonly stack: string;
  readonly port?: number;
}

/** `npm run ops -- restore --to-…`, its options, and what comes after it; its action is {@link restorePoint} where hasTarget. */
export function addPointInTimeCommands(restore: Command, stackOption: Option): void {
  restore
    // As the program above it; see there.
    .enablePositionalOptions()
    .option("--to-time <time>", "the whole server as it was at a moment, with its zone: 2026-11-26T17:00:00Z")
    .option("--to-lsn <lsn>", "the same at a position of the WAL: 0/3000028")
    .option("--to-xid <xid>", "the same at the end of a transaction: 1234")
    .option("--to-latest", "the same with all WAL that was received")
    .option("--port <port>", "of 127.0.0.1, to look at it; one that is free where it is left out", parseLookPort);

  const second = (name: string, description: string) =>
    restore.command(name).description(description).addOption(stackOption);
  const confirmed = (command: Command) =>
    command.option("--yes <name>", `the database's name, ${database}, instead of the question`);

  confirmed(
    second(
      "finish",
      "Make what was restored to a point in time the primary; what was before is kept, the replica follows.",
    ),
  ).action((options: SecondOptions) => bringIn(finishPoint, options));
  confirmed(second("undo", "Make the data that were kept by the last finish the primary again.")).action(
    (options: SecondOptions) => bringIn(undoPoint, options),
  );
  second("discard", "Throw away what was restored to a point in time; the servers are as before.").action(
    ({ stack: name }: { readonly stack: string }) => {
      discardPoint(stackOf(name), say);
    },
  );
}

/** Restores to a point in time, to be looked at. */
export async function restorePoint({ stack: name, port, ...options }: PointOptions): Promise<void> {
  const target = parseTarget(options);
  await restoreToPoint(stackOf(name), target, port, say);
}

interface SecondOptions {
  readonly stack: string;
  readonly yes?: string;
}

async function bringIn(work: typeof finishPoint, { stack: name, yes: confirmed }: SecondOptions): Promise<void> {
  const platform = await platformOf(stackOf(name));
  refuseWhileUpdating(name, pulumiEnvironment());
  const findings = await work(platform, { confirmed, say });
  if (findings.length > 0) process.exitCode = 2;
}

function stackOf(name: string): Stack {
  const stack = readStack(name);
  requireEngine(stack.dockerHost);
  return stack;
}
