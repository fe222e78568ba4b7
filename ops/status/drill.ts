import { isWell } from "../../agent/drills/schedule";
import type { BackupDrill, Drill } from "../../agent/drills/results";
import { past } from "../../agent/past";
import { backupKinds } from "../../agent/schedule";
import { printable } from "../../services/printable";
import type { BackupList } from "../backup/list";
import type { AgentContainerStatus } from "./backup";
import { ago, duration, isYounger } from "./format";

/** One is missed, and its day is over. */
const maxAgeDays = 8;
/** A new stack has its first one soon after its first backups. */
const graceHours = 1;
/** One that is under way is waited for. */
const maxHours = 24;

/** What is not as it should be with the weekly drill, a sentence each, with what to do; empty where all is well. */
export function drillProblems(
  { container, state, createdAt }: AgentContainerStatus,
  list: BackupList | undefined,
  stack: string,
): readonly string[] {
  if (state === "missing") return [`${container} does not exist, and nobody restores backups: npm run up -- ${stack}`];
  if (state !== "running") {
    return [`${container} is ${state}, and nobody restores backups: npm run ops -- start --stack ${stack}`];
  }
  if (list === undefined) return []; // said already
  const last = lastOf(list);
  const again = `npm run ops -- backup drill --stack ${stack}`;
  if (last !== undefined && !isWell(last)) return [`the last drill, of ${when(last)}, failed: ${flaw(last)}: ${again}`];
  const isOld = !isYounger(last?.startedAt, maxAgeDays * 24);
  if (!isOld || isUnderWay(list) || isNew(list.backups, createdAt)) return [];
  const found = last === undefined ? "there is none" : `the last is of ${when(last)}`;
  return [`no drill younger than ${maxAgeDays} days: ${found}: ${again} (docker logs ${container})`];
}

/** When the last one was, how long it took to have everything back, and what would have been lost; for a person. */
export function describeDrill(list: BackupList): string {
  const last = lastOf(list);
  if (last === undefined) return isUnderWay(list) ? "the first is under way" : "none yet";
  return `${when(last)}: ${last.backups.map(describeOne).join(", ")}`;
}

function describeOne({ kind, wrong, seconds, lostSeconds }: BackupDrill): string {
  if (wrong.length > 0) return `${kind} NOT what it was`;
  const lost = lostSeconds === null ? "" : `, with the last ${duration(lostSeconds)} lost`;
  return `${kind} back in ${duration(seconds ?? 0)}${lost}`;
}

const lastOf = ({ drills }: BackupList) => past(drills, new Date()).at(-1);
const when = ({ startedAt }: Drill) => ago(startedAt);

function flaw({ backups }: Drill): string {
  const wrong = backups.flatMap((one) => one.wrong.map((sentence) => `${one.backup}: ${sentence}`));
  return `${printable(wrong[0] ?? "")}${wrong.length > 1 ? ` and ${wrong.length - 1} more` : ""}`;
}

function isUnderWay({ drillSince }: BackupList): boolean {
  return isYounger(drillSince, maxHours);
}

/** Until the first backup of each kind is an hour old, and the container is: without both kinds there is nothing to restore. */
function isNew(backups: BackupList["backups"], createdAt: string | undefined): boolean {
  const counted = past(backups, new Date());
  const firsts = backupKinds.map((kind) => counted.find((backup) => backup.kind === kind)?.finishedAt);
  return [createdAt, ...firsts].some((time) => time === undefined || isYounger(time, graceHours));
}
