import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { backupKinds, type BackupKind } from "../schedule";
import type { Verdict } from "./findings";

/** Where the drill's volume is, in its own container and, to be read, in the backup's. */
export const drillFolder = "/drill";

/** What a drill has found of one backup, as it is kept. Times in ISO 8601. */
export interface BackupDrill {
  readonly kind: BackupKind;
  readonly backup: string;
  readonly startedAt: string;
  /** Recovery time: from the empty disk to the audit of what is restored. null where it could not be tried to its end. */
  readonly seconds: number | null;
  /** Of a physical one that is what it was: what a loss of both servers would have cost. null elsewhere. */
  readonly lostSeconds: number | null;
  /** Empty where it is what it was: each a sentence. Where they are many, the last says how many are left out. */
  readonly wrong: readonly string[];
  /** The same of each service, and of what is of none; those of whom nothing was found are left out. None from before they were kept. */
  readonly verdicts?: readonly Verdict[];
}

/** A drill of the newest backup of each kind, as it is kept. */
export interface Drill {
  readonly format: 1;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly backups: readonly BackupDrill[];
}

/** A year of weekly ones. */
const keptDrills = 60;
/** An owner may make as many sentences as it has tables, each as long as their names. */
const kept = { sentences: 100, characters: 1_000 };
/** As many sentences of both kinds, each character of four bytes and escaped. */
const maxBytes = 4 * 1024 ** 2;

/** Keeps a drill's result, and forgets the oldest. Half of one never looks like one. */
export function keepDrill(folder: string, drill: Drill): void {
  const results = resultsOf(folder);
  mkdirSync(results, { recursive: true, mode: 0o700 });
  const backups = drill.backups.map((one) => ({ ...one, wrong: shortened(one.wrong, kept.sentences) }));
  write(join(results, `${nameOf(drill)}.json`), bounded({ ...drill, backups }));
  for (const name of namesIn(results).slice(0, -keptDrills)) rmSync(join(results, name));
}

/** What is kept, oldest first. What is none is left out. */
export function readDrills(folder: string): readonly Drill[] {
  return namesIn(resultsOf(folder))
    .slice(-keptDrills)
    .flatMap((name) => {
      const found = read(join(resultsOf(folder), name));
      return isDrill(found) ? [bounded(found)] : [];
    });
}

/** Drills for a list: of all but the last only the first sentence of each backup, and how many more there are. */
export function briefly(drills: readonly Drill[]): readonly Drill[] {
  return drills.map((drill, index) => {
    if (index === drills.length - 1) return drill;
    return { ...drill, backups: drill.backups.map((one) => ({ ...one, wrong: shortened(one.wrong, 1) })) };
  });
}

/** Drills without a result yet: the first of them began at `since`, in ISO 8601, and so many were killed. */
export interface UnderWay {
  readonly since: string;
  readonly killed: number;
}

/** Notes that a drill is under way; undefined: none is. */
export function noteUnderWay(folder: string, note: UnderWay | undefined): void {
  if (note === undefined) rmSync(underWayFile(folder), { force: true });
  else write(underWayFile(folder), note);
}

/** What {@link noteUnderWay} has noted last, also where the container has ended since. */
export function readUnderWay(folder: string): UnderWay | undefined {
  const { since, killed } = (read(underWayFile(folder)) ?? {}) as Partial<Record<keyof UnderWay, unknown>>;
  return isTime(since) ? { since, killed: typeof killed === "number" ? killed : 0 } : undefined;
}

const resultsOf = (folder: string) => join(folder, "results");
const underWayFile = (folder: string) => join(folder, "under-way.json");

/** `20261129T060000000Z` */
const nameOf = ({ startedAt }: Drill) => startedAt.replaceAll(/[-:.]/g, "");

function namesIn(results: string): readonly string[] {
  if (!existsSync(results)) return [];
  return readdirSync(results)
    .filter((name) => /^\d{8}T\d{9}Z\.json$/.test(name))
    .sort();
}

/** The first so many sentences; what they say was left out before counts. */
function shortened(wrong: readonly string[], sentences: number): readonly string[] {
  const [, before] = /^and (\d+) more$/.exec(wrong.at(-1) ?? "") ?? [];
  const more = wrong.length - sentences + (before === undefined ? 0 : Number(before) - 1);
  return [...wrong.slice(0, sentences), ...(more > 0 ? [`and ${more} more`] : [])];
}

/** What is known of a drill, and no more of it than is kept: what is read, another may have written; see {@link read}. */
function bounded({ startedAt, finishedAt, backups }: Drill): Drill {
  const cut = (text: string) => text.slice(0, kept.characters);
  const its = backups.slice(0, backupKinds.length).map(({ kind, backup, verdicts, ...one }) => ({
    ...{ kind, backup: cut(backup), startedAt: one.startedAt, seconds: one.seconds, lostSeconds: one.lostSeconds },
    wrong: one.wrong.slice(0, kept.sentences + 1).map(cut),
    ...(verdicts && {
      verdicts: verdicts.slice(0, kept.sentences).map(({ service, findings, first }) => ({
        ...{ service: service === null ? null : cut(service), findings, first: cut(first) },
      })),
    }),
  }));
  return { format: 1, startedAt, finishedAt, backups: its };
}

function write(file: string, content: object): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  const handle = openSync(`${file}.new`, "r");
  fsyncSync(handle);
  closeSync(handle);
  renameSync(`${file}.new`, file);
}

/**
 * A file's JSON; undefined where it has none. Services' code runs where these files are written: whoever got out of its server there
 * could leave a link to a password's file, or a pipe, and the backup's container, which reads them, has passwords.
 */
function read(file: string): unknown {
  try {
    const handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = fstatSync(handle);
      return size > maxBytes ? undefined : (JSON.parse(readFileSync(handle, "utf8")) as unknown);
    } finally {
      closeSync(handle);
    }
  } catch {
    return undefined; // what the parser says would have some of it
  }
}

function isDrill(value: unknown): value is Drill {
  const { format, startedAt, finishedAt, backups } = (value ?? {}) as Partial<Record<keyof Drill, unknown>>;
  return format === 1 && isTime(startedAt) && isTime(finishedAt) && Array.isArray(backups) && backups.every(isOfOne);
}

function isOfOne(value: unknown): value is BackupDrill {
  const of = (value ?? {}) as Partial<Record<keyof BackupDrill, unknown>>;
  const isSeconds = (seconds: unknown) => seconds === null || (typeof seconds === "number" && seconds >= 0);
  return (
    backupKinds.some((kind) => kind === of.kind) &&
    typeof of.backup === "string" &&
    isTime(of.startedAt) &&
    isSeconds(of.seconds) &&
    isSeconds(of.lostSeconds) &&
    Array.isArray(of.wrong) &&
    of.wrong.every((sentence) => typeof sentence === "string") &&
    (of.verdicts === undefined || areVerdicts(of.verdicts, of.wrong.length > 0))
  );
}

/** @param isWrong whether anything was found: it is somebody's, or nobody's */
function areVerdicts(value: unknown, isWrong: boolean): boolean {
  return Array.isArray(value) && value.length > 0 === isWrong && value.every(isVerdict);
}

function isVerdict(value: unknown): boolean {
  const { service, findings, first } = (value ?? {}) as Partial<Record<keyof Verdict, unknown>>;
  return (
    (service === null || typeof service === "string") &&
    typeof findings === "number" &&
    findings > 0 &&
    typeof first === "string"
  );
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && value.length < 30 && !Number.isNaN(Date.parse(value));
}
