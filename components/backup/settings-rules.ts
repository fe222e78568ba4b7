import { backupClasses, type BackupClass } from "../../agent/schedule";
import { isPrintable } from "../../services/printable";
import { wholeNumber, type Rules } from "../setting-rule";
import { isImage, isRecord, isTimeZone, parseJson } from "../setting-values";

/** What a stack can choose of its backups. */
export interface BackupSettings {
  /** IANA's name of the zone in which a night has its 02:00. */
  readonly backupTimeZone: string;
  /** Days a backup is kept, by class. */
  readonly backupRetentionDays: Readonly<Record<BackupClass, number>>;
  /** MiB per second a base backup takes at most; 0: no limit. */
  readonly backupRateMiB: number;
  /** Minutes a dump of everything may take, and one of each service where that fails. */
  readonly backupDumpMinutes: number;
  /** Image the node binary of the backup's agent comes from. */
  readonly backupNodeImage: string;
  /** Where everything is copied: a folder of the engine's machine, or rclone's `remote:path`; "": nowhere. */
  readonly backupCopy: string;
  /** rclone.conf, with the remote of `backupCopy` in it. */
  readonly backupCopyConfig: string;
  /** Image the rclone binary comes from, where there is a copy. */
  readonly backupRcloneImage: string;
}

/** rclone's name of the remote in `remote:path`; undefined for a folder, and for none. */
export function remoteOf(copy: string): string | undefined {
  return copy.includes(":") ? copy.slice(0, copy.indexOf(":")) : undefined;
}

export const backupRules: Rules<BackupSettings> = {
  backupTimeZone: {
    expected: "a time zone by IANA's name, such as Asia/Seoul or UTC",
    parse: (text) => (isTimeZone(text) ? text : undefined),
  },
  backupRetentionDays: {
    expected: `an object of whole numbers of days from 1 to 36500 for each of ${backupClasses.join(", ")}`,
    parse: (text) => {
      const days = parseJson(text);
      const isDays = (value: unknown) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 36_500;
      const keys = isRecord(days) ? Object.keys(days).sort().join() : "";
      return isRecord(days) && keys === [...backupClasses].sort().join() && Object.values(days).every(isDays)
        ? (days as Readonly<Record<BackupClass, number>>)
        : undefined;
    },
  },
  backupRateMiB: wholeNumber(0, 1024),
  backupDumpMinutes: wholeNumber(1, 1440),
  backupNodeImage: {
    expected: "an image reference such as node:22-bookworm-slim",
    parse: (text) => (isImage(text) ? text : undefined),
  },
  backupCopy: {
    expected: "nothing, an absolute path such as /mnt/nas/centraldb, or remote:path of rclone",
    // No remote that is made on the spot (:s3,…:), whose secrets would stand in it.
    parse: (text) => {
      if (text === "") return text;
      const isFolder = /^\/[^:,"\\]+$/.test(text) && !text.split("/").includes("..");
      const isRemote = /^[\w][\w.+@-]{0,99}:[^:,"\\]*$/.test(text);
      return (isFolder || isRemote) && text.length <= 500 && isPrintable(text) ? text : undefined;
    },
  },
  backupCopyConfig: {
    secret: true,
    expected: "nothing, or the text of an rclone.conf",
    parse: (text) =>
      text === "" || (/^\[[^\]]+\]$/m.test(text) && text.length <= 100_000 && !text.includes("\0")) ? text : undefined,
  },
  backupRcloneImage: {
    expected: "an image reference such as rclone/rclone:1.71.2",
    parse: (text) => (isImage(text) ? text : undefined),
  },
};

/** What is wrong with a copy and its configuration together; "" where nothing is. */
export function whyNotCopied({ backupCopy, backupCopyConfig }: BackupSettings): string {
  const remote = remoteOf(backupCopy);
  if (remote === undefined || backupCopyConfig.split(/\r?\n/).includes(`[${remote}]`)) return "";
  return `expected an rclone.conf with [${remote}], the remote of centraldb:backupCopy, got one without it`;
}
