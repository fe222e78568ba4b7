import { describeTarget, type RecoveryTarget } from "../../../agent/restore/point";
import type { Shown } from "../../../agent/restore/recover";
import { database } from "../../../components/settings-rules";
import { OperatorError } from "../../operator-error";
import type { Stack } from "../../stack-file";
import { addressOf, followLook, hasLook, isolateLook, removeLook, startLook, VainRestore } from "./look";
import {
  containerOf,
  findPlace,
  inVolume,
  lookContainer,
  writeNote,
  type RestoreNote,
  type RestorePlace,
} from "./place";

type Say = (line: string) => void;

/**
 * Restores to a target, in a data directory beside the current one, and runs it there on a port of its own, paused at the target. The servers
 * go on as they are. What was killed on its way goes on with the same target.
 * @param port on 127.0.0.1; @default one that is free
 * @throws OperatorError where another restore is there, or the target cannot be reached, with what can; nothing is left then
 */
export async function restoreToPoint(
  stack: Stack,
  target: RecoveryTarget,
  port: number | undefined,
  say: Say,
): Promise<void> {
  const place = findPlace(stack);
  const words = describeTarget(target);
  const { note } = place;
  if (note !== undefined && (note.phase !== "recovering" || note.target !== words)) {
    throw new OperatorError(`a restore to ${note.target} is there: ${choices(stack).join(", or ")}`);
  }
  const begun: RestoreNote = { phase: "recovering", target: words, from: null, keepAs: null };
  if (note === undefined) writeNote(place, begun);
  const shown = await show({ ...place, note: begun }, target, port, say);
  if (!shown.paused) isolateLook(place);
  say(`${lookContainer(place)} is at ${words}: ${describeShown(shown)}`);
  for (const line of howToLook(place, shown)) say(line);
}

/** @throws OperatorError where it fails; of one that cannot reach its target nothing is left then */
async function show(place: RestorePlace, target: RecoveryTarget, port: number | undefined, say: Say): Promise<Shown> {
  const isNew = !hasLook(place);
  const discard = () => {
    removeLook(place);
    inVolume(place, "discard");
  };
  try {
    startLook(place, [target.kind, ...("at" in target ? [target.at] : [])], port);
  } catch (error) {
    // One that was there may have hours of work in it.
    if (isNew) discard();
    throw error;
  }
  return followLook(place, say).catch((error: unknown) => {
    if (error instanceof VainRestore) discard();
    throw error;
  });
}

function describeShown({ paused, lsn, committedAt }: Shown): string {
  const last =
    committedAt === null ? "no transaction after the base backup's end" : `its last transaction is of ${committedAt}`;
  const state = paused
    ? "it is paused and can only be read"
    : "it is not paused, as nobody could log in before its recovery was ended: only read it";
  return `${last}, LSN ${lsn ?? "unknown"}; ${state}`;
}

function howToLook(place: RestorePlace, { paused }: Shown): readonly string[] {
  const [finish, discard] = choices(place.stack);
  return [
    `  look at it:           docker exec -it ${lookContainer(place)} psql -U postgres -d ${database}`,
    ...(paused
      ? [
          `                        or on ${addressOf(place)}, as app or postgres with the password of then; nobody else gets in`,
        ]
      : []),
    `  make it the primary:  ${finish}`,
    `  throw it away:        ${discard}`,
  ];
}

function choices({ name }: Stack): readonly [finish: string, discard: string] {
  return [`npm run ops -- restore finish --stack ${name}`, `npm run ops -- restore discard --stack ${name}`];
}

/**
 * Throws a restore away that was not made the primary. The servers are as they were before it.
 * @throws OperatorError where there is none, or it is the primary already
 */
export function discardPoint(stack: Stack, say: Say): void {
  const place = findPlace(stack);
  const { note } = place;
  if (note === undefined) throw new OperatorError(`stack ${stack.name} has no restore that could be thrown away`);
  if (note.phase === "swapped") {
    throw new OperatorError(
      `the restore to ${note.target} is the primary's data already: ${choices(stack)[0]} goes on with it; then restore undo brings back what was before`,
    );
  }
  removeLook(place);
  inVolume(place, "discard", note.from ?? "", note.keepAs ?? "");
  const wasStopped =
    note.phase === "ready" ? `; where the servers are stopped: npm run ops -- start --stack ${stack.name}` : "";
  say(`the restore to ${note.target} is thrown away, ${containerOf(place)} has its data as before${wasStopped}`);
}
