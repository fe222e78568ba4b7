import type { Manifest } from "../../agent/manifest";
import { summaryOf, type Summary } from "../../agent/summary";
import type { CopyState } from "../../agent/copy/state";
import type { Drill } from "../../agent/drills/results";
import { stateFolder } from "../../agent/settings";
import { agentFile } from "../../components/backup/agent-file";
import { docker, tooMuch } from "../../components/cluster/docker-cli";
import { printable } from "../../services/printable";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";
import { describeDrill } from "../status/drill";
import { bytes, duration, since } from "../status/format";
import { table } from "../table";
import { containerOf, requireRunning } from "./agent";

/** A backup as it is listed. */
export interface Listed extends Summary {
  readonly pinned: boolean;
}

/** What the agent's `list` prints. */
export interface BackupList {
  /** Oldest first. */
  readonly backups: readonly Listed[];
  /** Folders of the store that are no backup. */
  readonly broken: readonly { readonly id: string; readonly why: string }[];
  /** Stretches of WAL without a gap, oldest first; names of segments. */
  readonly wal: readonly {
    readonly begunAt: string;
    readonly first: string | null;
    readonly last: string | null;
    readonly segments: number;
    /** When the newest WAL of it came in; null where there is none. */
    readonly receivedAt: string | null;
    /** Ids of the physical backups from which it leads on, oldest first. */
    readonly bases: readonly string[];
  }[];
  /** null where there is none. */
  readonly copy: CopyState | null;
  /** Oldest first. */
  readonly drills: readonly Drill[];
  /** Since when one is under way; null where none is. */
  readonly drillSince: string | null;
  /** When the stack's state was handed over last; null where it never was. */
  readonly stateAt: string | null;
  /** When `up` changed what the agent is to do last; null where it has been told nothing yet. */
  readonly settingsAt: string | null;
  /** What keeps the agent from its work; null where nothing does. */
  readonly illness: string | null;
  /** WAL of the last seven days in the archive. */
  readonly weekOfWalBytes: number;
  /** Of the disk the backups are on. */
  readonly freeBytes: number;
}

/** @throws OperatorError where the agent cannot be asked */
export function listBackups(stack: Stack): BackupList {
  requireRunning(stack, "backup");
  const { status, stdout, stderr } = docker(["exec", containerOf(stack, "backup"), "node", agentFile, "list"], {
    host: stack.dockerHost,
  });
  if (status !== 0) {
    const older =
      stderr === tooMuch ? `, as of an agent that is older than this program: npm run up -- ${stack.name}` : "";
    throw new OperatorError(`${containerOf(stack, "backup")} cannot be asked: ${printable(stderr.trim())}${older}`);
  }
  return parseBackupList(stdout);
}

/**
 * What the agent's `list` has printed. One that is older than this program, and runs until the next `up`, says nothing of drills, and has
 * whole manifests.
 */
export function parseBackupList(text: string): BackupList {
  const { backups, ...list } = JSON.parse(text) as Omit<BackupList, "backups"> & {
    readonly backups: readonly (Listed | (Manifest & { readonly pinned: boolean }))[];
  };
  const inShort = backups.map((one) => (isWhole(one) ? { ...summaryOf(one), pinned: one.pinned } : one));
  return { ...{ drills: [], drillSince: null }, ...list, backups: inShort };
}

function isWhole(one: Summary | Manifest): one is Manifest {
  return one.logical !== undefined && "tables" in one.logical;
}

/** For a terminal: every backup, and to which points in time they lead. */
export function renderBackups(list: BackupList): string {
  const rows = list.backups.map(
    ({ id, kind, classes, startedAt, files, seconds, server, pinned, logical, imported }) => [
      id,
      kind,
      imported === undefined ? classes.join(", ") : "",
      since(startedAt),
      bytes(files.reduce((sum, file) => sum + file.bytes, 0)),
      duration(seconds.tools + seconds.proof),
      server.host,
      logical?.leftOut.map(({ service }) => service).join(", ") ?? "",
      list.copy?.backups.includes(id) === true ? "yes" : "",
      pinned ? "for ever" : "",
    ],
  );
  const windows = windowsOf(list);
  return [
    list.backups.length === 0
      ? "no backup yet"
      : table([["backup", "kind", "for", "age", "size", "took", "of", "lacks", "copied", "pinned"], ...rows]),
    "",
    ...(windows.length === 0
      ? ["no point in time can be restored yet: it takes a physical backup and WAL"]
      : windows.map(({ from, to }) => `any moment from ${from} to ${to} can be restored`)),
    ...list.broken.map(({ id, why }) => `${printable(id)} is no backup: ${printable(why)}`),
    `last drill: ${describeDrill(list)}`,
  ].join("\n");
}

/**
 * Hands the stack's state to the agent, which copies it with the backups: without it a new machine has new passwords. Secrets are
 * ciphertext in it; the passphrase goes nowhere.
 * @throws OperatorError where the agent does not take it
 */
export function handOverState(stack: Stack, state: string): void {
  const file = `${stateFolder({ store: "/backups" })}/${stack.name}.json`;
  const script = 'umask 077; mkdir -p "${1%/*}" && cat > "$1.new" && mv "$1.new" "$1"';
  const { status, stderr } = docker(
    ["exec", "--interactive", containerOf(stack, "backup"), "sh", "-c", script, "sh", file],
    {
      host: stack.dockerHost,
      input: state,
    },
  );
  if (status !== 0) throw new OperatorError(`the state is not with the backups: ${printable(stderr.trim())}`);
}

/** From the end of a stretch's first base backup to its last WAL. */
export function windowsOf({ backups, wal }: BackupList): readonly { readonly from: string; readonly to: string }[] {
  return wal.flatMap(({ receivedAt, bases }) => {
    const base = backups.find(({ id }) => bases.includes(id));
    return base === undefined || receivedAt === null || receivedAt < base.finishedAt
      ? []
      : [{ from: base.finishedAt, to: receivedAt }];
  });
}
