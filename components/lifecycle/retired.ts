import type { BackupDrill, Drill } from "../../agent/drills/results";
import type { LogicalSummary, Summary } from "../../agent/summary";
import { printable } from "../../services/printable";
import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { isSame, keptOf } from "./refusals";
import { roleType, serviceType, type OwnState } from "./state";

/** What the running primary has of a service that is to be dropped. */
export interface FoundRetired {
  /** Whether there is anything of it. */
  readonly isThere: boolean;
  readonly hasSchema: boolean;
  /** The backup of a drop that has begun, of which a part is left; null where all is there. */
  readonly begun: string | null;
  /** What speaks against dropping it, a sentence each; see retired.sql. */
  readonly obstacles: readonly string[];
}

/** The same with what its backup proves. */
export interface SurveyedRetired extends FoundRetired {
  /** Why the backup of the registry does not prove that it can be brought back; empty where it does, or none is named. */
  readonly flaws: readonly string[];
}

/** The part of the agent's list that proves something. */
export interface ProofList {
  readonly backups: readonly (Pick<Summary, "id"> & {
    readonly pinned: boolean;
    readonly logical?: Pick<LogicalSummary, "services">;
  })[];
  readonly drills: readonly Pick<Drill, "backups">[];
}

/** Why a backup is none to go on with, where a part of a service is gone already. Pure. */
export function keptFlaws({ code }: Pick<ResolvedService, "code">, id: string, list: ProofList): readonly string[] {
  const backup = list.backups.find((one) => one.id === id);
  if (backup === undefined) return [`there is no backup ${id}`];
  return [
    ...(backup.pinned ? [] : [`${id} is not pinned, and would be deleted with others of its age`]),
    ...(backup.logical?.services.includes(code) === true ? [] : [`${id} has no ${code}`]),
  ];
}

/**
 * Why a backup does not prove that a service can be brought back from it, a sentence each. What its drill has found of other services
 * does not count: each of them could keep it from being retired. What is of none does. Pure.
 */
export function proofFlaws(service: Pick<ResolvedService, "code">, id: string, list: ProofList): readonly string[] {
  if (!list.backups.some((one) => one.id === id)) return keptFlaws(service, id, list);
  const drill = list.drills.flatMap(({ backups }) => backups).findLast((one) => one.backup === id);
  return [
    ...keptFlaws(service, id, list),
    ...(drill === undefined ? [`${id} was never restored by a drill`] : drillFlaws(service.code, drill)),
  ];
}

function drillFlaws(code: string, { backup, verdicts, seconds }: BackupDrill): readonly string[] {
  if (verdicts === undefined) {
    return [
      `the drill of ${backup} says nothing of each service: it is of an older agent (where that one still runs, ` +
        'first lifecycle "frozen" and npm run up)',
    ];
  }
  const failed = (why: string) => `the drill of ${backup} failed: ${printable(why)}`;
  const against = verdicts.filter(({ service }) => service === code || service === null);
  if (against.length === 0 && seconds === null) return [failed("it could not be tried to its end")];
  return against.map(({ first, findings }) => failed(findings > 1 ? `${first}, and ${findings - 1} more` : first));
}

/**
 * Why `up` may not drop what is retired, a sentence each with its cure. Where nothing of a service is left, or a stack never had it,
 * there is nothing to prove.
 * @param found by code; undefined: nobody can be asked
 */
export function retiredRefusals(
  stack: string,
  retired: readonly ResolvedService[],
  state: OwnState,
  found: ReadonlyMap<string, SurveyedRetired> | undefined,
): readonly string[] {
  return retired.flatMap((service) => {
    const { name, code, retiredBackups } = service;
    const path = `services.${name}`;
    const isKnown = state.some((resource) => keptOf(service).some((kept) => isSame(kept, resource)));
    if (isKnown && !wasFrozen(service, state)) {
      return [
        `${path}.lifecycle: it is "retired", and stack ${stack} has it in use: first "frozen" and npm run up -- ${stack}, ` +
          `then npm run ops -- retire ${name} --stack ${stack}`,
      ];
    }
    const reads = readsOf(service, state);
    if (isKnown && reads.length > 0) {
      return [
        `${path}.lifecycle: it is "retired", and stack ${stack} has reads of it (${reads.join(", ")}): back to "frozen", ` +
          `remove them from reads, npm run up -- ${stack}, and retire it then`,
      ];
    }
    const here = found?.get(code);
    if (here === undefined) {
      return isKnown ? [`${path}.lifecycle: it is "retired", and no primary answers that could drop it`] : [];
    }
    if (!here.isThere) return [];
    if (here.begun !== null && retiredBackups[stack] !== here.begun) {
      return [
        `${path}.retiredBackups.${stack}: up has begun to drop it, and what is gone is in ${here.begun} alone: put that there`,
      ];
    }
    const again =
      here.begun === null
        ? `npm run ops -- retire ${name} --stack ${stack}`
        : `up has begun to drop it, and goes on when that is mended; "frozen" keeps what is left`;
    if (retiredBackups[stack] === undefined) {
      return [`${path}.retiredBackups: there is none of stack ${stack}: ${again} makes and proves it`];
    }
    return [
      ...here.flaws.map((flaw) => `${path}.retiredBackups.${stack}: ${flaw}: ${again}`),
      ...here.obstacles.map((why) => `${path}.lifecycle: it is "retired", and ${why}`),
    ];
  });
}

/** The last `up` that ended well has shut it out, and left it to be forgotten; see ServiceDatabase. */
function wasFrozen(service: ResolvedService, state: OwnState): boolean {
  const component = state.find(({ type, name }) => type === serviceType && name === service.name);
  const roles = state.filter(
    (resource) => resource.type === roleType && keptOf(service).some((kept) => isSame(kept, resource)),
  );
  // One that is being forgotten, by an `up` that was killed, may have lost its component or its roles.
  return (component === undefined || component.lifecycle === "frozen") && roles.every(({ login }) => login === false);
}

/** Who reads it and whom it reads, as `reader reads target`: rights that pulumi takes back one by one, from roles that are there. */
function readsOf({ name, code }: ResolvedService, state: OwnState): readonly string[] {
  const own: readonly string[] = tiers.map((tier) => tierRole(code, tier));
  const reads = state.flatMap((resource) => {
    const [, target = "", role = ""] = readsName.exec(resource.name) ?? [];
    return target === name || own.includes(role) ? [`${role} reads ${target}`] : [];
  });
  return [...new Set(reads)];
}

/** As ServiceReads names them, see SchemaItem.key. */
const readsName = /^reads-(.+)-([a-z]+)-(?:schema|tables|sequences|routines|future-[a-z]+)$/;

/** What a person must know before it happens. */
export function retiredNotices(
  stack: string,
  retired: readonly ResolvedService[],
  found: ReadonlyMap<string, SurveyedRetired> | undefined,
): readonly string[] {
  return retired
    .filter(({ code }) => found?.get(code)?.isThere === true)
    .map(
      ({ name, code, retiredBackups }) =>
        `${name} is retired: up ${found?.get(code)?.begun === null ? "drops" : "goes on to drop"} the schema ${code} with all there is in it, and its roles; they are in ` +
        `${retiredBackups[stack] ?? "no backup"}, and npm run ops -- unretire ${name} brings them back`,
    );
}

/**
 * What a drop that failed has left, and what to do.
 * @param stderr psql's
 * @param found afterwards; undefined: nobody answers
 */
export function dropFailure(
  { name }: Pick<ResolvedService, "name">,
  stack: string,
  stderr: string,
  found: FoundRetired | undefined,
): string {
  const up = `npm run up -- ${stack}`;
  const cures: readonly (readonly [RegExp, string])[] = [
    [/lock timeout|deadlock|locked by others/, `a dump may read it: ${up} again when who has it has ended`],
    [
      /out of shared memory/,
      "the server has not locks enough for others and this: with more max_locks_per_transaction in " +
        `centraldb:postgresqlSettings, and "frozen" again, ${up}; then "retired" again`,
    ],
  ];
  const cure = cures.find(([when]) => when.test(stderr))?.[1] ?? `${up} again when that is mended`;
  const left =
    found === undefined
      ? "the primary does not say what is left of it"
      : found.begun === null
        ? "is what it was"
        : `a part of it is gone, which ${found.begun} has; the next up goes on`;
  return (
    `${name} cannot be dropped, and ${left}: ${printable(stderr.trim())}; ${cure}. ` +
    `Until then services.${name}.lifecycle: "frozen" lets others' changes through`
  );
}
