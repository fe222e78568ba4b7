import { dataMount, keptPrefix } from "../../../components/backup/restore-files";
import { dockerNames, peerOf } from "../../../components/naming";
import { database } from "../../../components/settings-rules";
import { typed } from "../../typed";
import { OperatorError } from "../../operator-error";
import type { Platform } from "../platform";
import { secondsSince } from "../steps";
import { followLook, hasLook, isolateLook, removeLook, startLook } from "./look";
import {
  containerOf,
  findPlace,
  inVolume,
  lookInto,
  peerPlace,
  writeNote,
  type RestoreNote,
  type RestorePlace,
} from "./place";
import { asThePlanSays, promote } from "./promote";
import { auditPrimary, followAgain, startPrimary, stopServers, takePlace } from "./switch";
import { timed } from "./timed";

export interface FinishOptions {
  /** The database's name as a person has typed it; undefined: asks. */
  readonly confirmed: string | undefined;
  readonly say: (line: string) => void;
}

/**
 * Makes what was restored the primary's data: what was current is kept beside it, the standby copies it anew, roles have the stack's
 * passwords and the plan's rights before anybody gets in. What was killed on its way is gone on with.
 * @returns what the audit found
 * @throws OperatorError where there is no restore, another name was typed, or a step fails: the same command goes on then
 */
export async function finishPoint(platform: Platform, options: FinishOptions): Promise<readonly string[]> {
  const { stack } = platform;
  const place = findPlace(stack);
  const { note } = place;
  if (note === undefined) {
    throw new OperatorError(
      `stack ${stack.name} has no restore to finish: npm run ops -- restore --to-time … makes one`,
    );
  }
  if (note.phase !== "swapped" && !isHalfWay(place)) await confirm(place, note, options);
  return bringIn(platform, place, note, options);
}

/**
 * Brings back the data directory that was the primary's before the last restore, in the same way; what is current is kept, so that this
 * can be undone too.
 * @throws OperatorError where none is kept, or a restore is there that was not finished
 */
export async function undoPoint(platform: Platform, options: FinishOptions): Promise<readonly string[]> {
  const place = findPlace(platform.stack);
  if (place.note !== undefined && place.note.from === null) {
    throw new OperatorError(
      `a restore to ${place.note.target} is there: restore finish or restore discard, then again`,
    );
  }
  const from = place.note?.from ?? place.folders.findLast((folder) => folder.startsWith(keptPrefix));
  if (from === undefined) {
    throw new OperatorError(`the volume of ${containerOf(place)} has no data of before a restore (${keptPrefix}…)`);
  }
  const note = place.note ?? { phase: "recovering", target: `the data kept as ${from}`, from, keepAs: null };
  if (note.phase !== "swapped" && !isHalfWay(place)) await confirm(place, note, options);
  if (place.note === undefined) inVolume(place, "stage", JSON.stringify(note), from);
  return bringIn(platform, { ...place, note }, note, options);
}

/** Killed between the two renames: there is no way to ask for. */
function isHalfWay({ folders, note }: RestorePlace): boolean {
  const keepAs = note?.keepAs ?? null;
  return keepAs !== null && folders.includes(keepAs) && !folders.includes("pgdata");
}

async function confirm(place: RestorePlace, { target }: RestoreNote, { confirmed, say }: FinishOptions): Promise<void> {
  const { stack, node, folders } = place;
  const names = dockerNames(stack.settings.namePrefix);
  const [own, peer] = [names[node].container, names[peerOf(node)].container];
  const hasData = folders.includes("pgdata");
  say(`${own} is to go on from ${target}:`);
  say(`  both servers are stopped, and nobody gets in until the new primary accepts connections`);
  say(`  what was written after that is no longer in the database`);
  say(
    hasData
      ? `  the present data of ${own} are kept beside it, as ${keptPrefix}…; those of ${peer}, its copy, are deleted and copied anew`
      : `  ${own} has no data that could be kept; those of ${peer} are kept, as ${keptPrefix}…, and copied anew`,
  );
  if ((confirmed ?? (await typed(`Type the database's name (${database}) to go on: `))) !== database) {
    throw new OperatorError("nothing was changed: the name typed is not the database's");
  }
}

async function bringIn(
  platform: Platform,
  place: RestorePlace,
  begun: RestoreNote,
  { say }: FinishOptions,
): Promise<readonly string[]> {
  let note = begun;
  if (note.phase === "recovering") {
    await goOnLooking(place, note, say);
    timed(say, "promoted", () => promote(place));
    timed(say, "passwords of the stack, and the plan", () => asThePlanSays(place, platform));
    note = { ...note, phase: "ready", keepAs: keptName(new Date()) };
    const ready = JSON.stringify(note);
    timed(say, "shut down cleanly", () => {
      removeLook(place);
      inVolume(place, "ready", ready);
    });
  }
  if (note.phase === "ready") {
    const keepAs = note.keepAs ?? keptName(new Date());
    const begun = performance.now();
    stopServers(place, say);
    timed(say, "the data directory in its place", () => {
      takePlace(place, keepAs);
    });
    note = { ...note, phase: "swapped" };
    writeNote(place, note);
    await startPrimary(place, say);
    say(`nobody got in for ${secondsSince(begun)} s`);
  } else await startPrimary(place, say);
  const findings = await auditPrimary(platform, say);
  await followAgain(place, say);
  removeLook(place);
  inVolume(place, "done");
  for (const line of afterwards(lookInto(place), note)) say(line);
  return findings;
}

/** @throws OperatorError where its container is gone: how far it was nobody knows then */
async function goOnLooking(
  place: RestorePlace,
  { from, target }: RestoreNote,
  say: (line: string) => void,
): Promise<void> {
  if (from === null && !hasLook(place)) {
    throw new OperatorError(`the container of the restore to ${target} is gone: restore discard, then restore again`);
  }
  startLook(place, ["kept"], "none");
  isolateLook(place);
  await followLook(place, say);
}

function afterwards(place: RestorePlace, { target, keepAs }: RestoreNote): readonly string[] {
  const own = containerOf(place);
  const keptIn = [place, lookInto(peerPlace(place))]
    .filter(({ folders }) => keepAs !== null && folders.includes(keepAs))
    .map((kept) => containerOf(kept));
  return [
    `${own} goes on from ${target}; the backup begins a new stretch of WAL, with a base backup of its own`,
    ...(keptIn.includes(own)
      ? [`  back to what was before:  npm run ops -- restore undo --stack ${place.stack.name}`]
      : []),
    ...keptIn.map(
      (container) => `  when nobody needs it:     docker exec ${container} rm -r ${dataMount}/${String(keepAs)}`,
    ),
  ];
}

/** `pgdata_before_20261126T170000Z` */
export function keptName(now: Date): string {
  return `${keptPrefix}${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
}
