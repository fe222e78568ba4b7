import { isAhead, past } from "../../agent/past";
import type { Summary } from "../../agent/summary";
import type { Plan } from "../../components/access/plan-items";
import { show } from "../../services/printable";
import { OperatorError } from "../operator-error";

/** What is restored: everything, the services of `services`, or one table's rows. */
export interface Wanted {
  readonly backup: Summary;
  /** Codes. */
  readonly services: readonly string[];
  /** Codes of those a person gives up: they begin empty where this takes the place of the whole. */
  readonly without: readonly string[];
  /** `gt.gt_raw_data`, of the only service. */
  readonly table?: string;
}

/** Whether it may take the place of the services' own database: it has all of the plan. */
export function isWhole({ services, table, without }: Wanted, plan: Plan): boolean {
  return table === undefined && services.length + without.length === plan.services.length;
}

/**
 * The dump that is asked for: by its id, else the newest that has what is wanted; of all services of the plan, or the one of this code.
 * One that is dated in the future is taken where it is named: when it was made nobody knows.
 * @param backups oldest first
 * @throws OperatorError where there is none, or it lacks what is wanted
 */
export function choose(
  backups: readonly Summary[],
  plan: Plan,
  {
    id,
    service,
    table,
    without = [],
  }: {
    readonly id?: string | undefined;
    readonly service?: string | undefined;
    readonly table?: string | undefined;
    readonly without?: readonly string[] | undefined;
  } = {},
  now = new Date(),
): Wanted {
  const all = plan.services.map(({ code }) => code).filter((code) => !without.includes(code));
  const services = service === undefined ? all : [service];
  const dumps = backups.filter((backup) => backup.logical !== undefined);
  // A file that somebody has brought is older than the day it came in.
  const own = ownDumps(dumps, now);
  const newest = own.at(-1);
  const lacks = ({ logical }: Summary) => services.filter((code) => logical?.services.includes(code) !== true);
  const backup =
    id === undefined ? (own.findLast((one) => lacks(one).length === 0) ?? newest) : dumps.find((one) => one.id === id);
  if (backup === undefined) {
    const known = dumps.map((one) => one.id).join(", ");
    throw new OperatorError(
      id === undefined
        ? [
            "there is no dump to restore: npm run ops -- backup list has all there is",
            ...datedAhead(dumps, now).map((one) => `${one} is dated in the future, and is restored where it is named`),
          ].join("; ")
        : `there is no dump ${id}; there are ${known || "none"}`,
    );
  }
  if (id === undefined && newest !== undefined && newest !== backup && service === undefined) {
    // Who keeps itself out of a dump must not cost the others what they have written since.
    const left = lacks(newest);
    throw new OperatorError(
      `${newest.id}, the newest dump, has no ${lacking(newest, left)}: restore --without ${left.join(" ")} takes the others ` +
        `from it; ${backup.id} has all, and nothing that anybody has written since: to take it, name it`,
    );
  }
  // What a service that was none then has now it keeps: without it nothing takes the place of the whole.
  const absent = lacks(backup);
  const inside = services.filter((code) => !absent.includes(code));
  if (inside.length === 0 || backup.logical?.leftOut.some((one) => absent.includes(one.service)) === true) {
    throw new OperatorError(
      `${backup.id} has no ${lacking(backup, absent)}: choose another (backup list), or one service (--service)`,
    );
  }
  const [code = ""] = services;
  if (table !== undefined && !table.startsWith(`${code}.`)) {
    throw new OperatorError(
      `--table ${show(table)}: expected one of ${code}, like ${code}.${code}_data; npm run ops -- backup contents ${backup.id} --service ${code} has all`,
    );
  }
  return { backup, services: inside, without: [...new Set(without)], ...(table === undefined ? {} : { table }) };
}

/** Of the schedule's, and not dated in the future. */
function ownDumps(backups: readonly Summary[], now: Date): readonly Summary[] {
  return past(backups, now).filter(({ kind }) => kind === "logical");
}

/** `gt (gt: a lock)` */
function lacking({ logical }: Summary, absent: readonly string[]): string {
  const leftOut = (logical?.leftOut ?? []).filter((one) => absent.includes(one.service));
  const why = leftOut.map((one) => `${one.service}: ${one.why}`).join("; ") || "they were no services then";
  return `${absent.join(", ")} (${why})`;
}

/** Ids of the dumps after the one that is taken, which lack what is wanted. */
export function newerThan({ id }: Summary, backups: readonly Summary[], now = new Date()): readonly string[] {
  const own = ownDumps(backups, now);
  return own.slice(own.findIndex((one) => one.id === id) + 1).map((one) => one.id);
}

/** Ids of those that {@link choose} takes only where they are named. */
export function datedAhead(backups: readonly Summary[], now = new Date()): readonly string[] {
  const dumps = backups.filter(({ kind }) => kind === "logical");
  return dumps.filter(({ startedAt }) => isAhead(startedAt, now)).map(({ id }) => id);
}
