import type { RecoveryTarget } from "../../../agent/restore/point";
import { show } from "../../../services/printable";
import { OperatorError } from "../../operator-error";

/** Options of the command line that say where a restore ends. */
export interface TargetOptions {
  readonly toTime?: string;
  readonly toLsn?: string;
  readonly toXid?: string;
  readonly toLatest?: true;
}

/** Whether a point in time is asked for at all. */
export function hasTarget({ toTime, toLsn, toXid, toLatest }: TargetOptions): boolean {
  return [toTime, toLsn, toXid, toLatest].some((one) => one !== undefined);
}

/**
 * The target that was asked for.
 * @throws OperatorError where there is none, or more than one, or it is none
 */
export function parseTarget({ toTime, toLsn, toXid, toLatest }: TargetOptions): RecoveryTarget {
  const targets = [
    ...(toTime === undefined ? [] : [() => parseTime(toTime)]),
    ...(toLsn === undefined ? [] : [() => parseLsn(toLsn)]),
    ...(toXid === undefined ? [] : [() => parseXid(toXid)]),
    ...(toLatest === undefined ? [] : [(): RecoveryTarget => ({ kind: "latest" })]),
  ];
  const [only] = targets;
  if (only !== undefined && targets.length === 1) return only();
  throw new OperatorError(
    `restore: got ${targets.length === 0 ? "no target" : `${targets.length} targets`}, expected one of --to-time, --to-lsn, --to-xid and --to-latest`,
  );
}

const timePattern =
  /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)? ?(Z|UTC|([+-])(\d\d)(?::?(\d\d))?)$/i;

function parseTime(text: string): RecoveryTarget {
  const [, date = "", minute = "", second = "00", fraction, zone, sign = "+", hours = "00", minutes = "00"] =
    timePattern.exec(text.trim()) ?? [];
  // In UTC it is what was written only where the calendar has such a moment.
  const local = `${date}T${minute}:${second}`;
  const moment = new Date(`${local}Z`);
  const isMoment = !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(local);
  if (zone === undefined || !isMoment || Number(hours) > 15 || Number(minutes) > 59) {
    const why = /^[\d\-T :.]+$/.test(text) ? ", which has no time zone" : "";
    throw new OperatorError(
      `--to-time: got ${show(text)}${why}; expected a moment with its zone, such as 2026-11-26T17:00:00Z or "2026-11-27 02:00:00.25+09"`,
    );
  }
  const [offsetHours, offsetMinutes] = [hours, minutes];
  const end = /^[+-]/.test(zone) ? `${sign}${offsetHours}:${offsetMinutes}` : "+00:00";
  return { kind: "time", at: `${date} ${minute}:${second}${fraction === undefined ? "" : `.${fraction}`}${end}` };
}

function parseLsn(text: string): RecoveryTarget {
  if (/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(text)) return { kind: "lsn", at: text.toUpperCase() };
  throw new OperatorError(
    `--to-lsn: got ${show(text)}, expected a position such as 0/3000028; SELECT pg_current_wal_lsn() says the present one`,
  );
}

function parseXid(text: string): RecoveryTarget {
  // 0 to 2 are PostgreSQL's own.
  if (/^\d{1,19}$/.test(text) && BigInt(text) > 2n) return { kind: "xid", at: BigInt(text).toString() };
  throw new OperatorError(
    `--to-xid: got ${show(text)}, expected the number of a transaction such as 1234, as pg_current_xact_id() has it`,
  );
}

/**
 * The port a restored server is looked at on.
 * @throws OperatorError for what is none
 */
export function parseLookPort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new OperatorError(`--port: got ${show(text)}, expected a number from 1 to 65535, such as 15432`);
}
