import { globals } from "../../agent/manifest";
import { past } from "../../agent/past";
import { unknownServices } from "../../agent/schedule";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { printable } from "../../services/printable";
import { withoutRetired, type Service } from "../../services/service";
import { listBackups, windowsOf, type BackupList } from "../backup/list";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";
import { describeDrill, drillProblems } from "./drill";
import { ago, bytes, isYounger } from "./format";

/** A container of the agent. */
export interface AgentContainerStatus {
  readonly container: string;
  /** Docker's word; `missing` where there is no container. */
  readonly state: string;
  /** When the container was made, in ISO 8601; undefined where there is none. A restart makes nothing new. */
  readonly createdAt?: string;
}

/** How it goes with the backups. */
export interface BackupStatus extends AgentContainerStatus {
  readonly drill: AgentContainerStatus;
  /** undefined where the agent cannot be asked; then `error` says why. */
  readonly list?: BackupList;
  readonly error?: string;
}

/** Asks the engine, and through it the agent. */
export function collectBackups(stack: Stack): BackupStatus {
  const names = dockerNames(stack.settings.namePrefix);
  const inspect = (container: string): AgentContainerStatus => {
    const format = '{"state": {{json .State.Status}}, "createdAt": {{json .Created}}}';
    const asked = ["inspect", "--type", "container", "--format", format, container];
    const { status, stdout } = docker(asked, { host: stack.dockerHost });
    const found = status === 0 ? (JSON.parse(stdout) as { state: string; createdAt: string }) : { state: "missing" };
    return { container, ...found };
  };
  const drill = inspect(names.drill.container);
  const found = inspect(names.backup.container);
  if (found.state === "missing") return { ...found, drill };
  try {
    return { ...found, drill, list: listBackups(stack) };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { ...found, drill, error: error.message };
  }
}

/** A night is missed, and the next one nearly. */
const maxAgeHours = { logical: 36, physical: 8 * 24 } as const;
/** A copy takes a while; a night's is there in the morning. */
const maxCopyAgeHours = 6;
/** A new stack, and a new service, have their first ones soon. */
const graceHours = 1;

/** What is not as it should be, a sentence each, with what to do; empty where all is well. */
export function backupProblems(status: BackupStatus, services: readonly Service[], stack: string): readonly string[] {
  return [...storeProblems(status, services, stack), ...drillProblems(status.drill, status.list, stack)];
}

function storeProblems(
  { container, state, createdAt, list, error }: BackupStatus,
  services: readonly Service[],
  stack: string,
): readonly string[] {
  if (state === "missing") return [`${container} does not exist, and nobody makes backups: npm run up -- ${stack}`];
  if (state !== "running") return [`${container} is ${state}, and nobody makes backups: docker start ${container}`];
  if (list === undefined) return [`${printable(error ?? "")} (docker logs ${container})`];
  const isNew = isYounger(createdAt, graceHours);
  const counted = { ...list, backups: past(list.backups, new Date()) };
  return [
    ...(["logical", "physical"] as const).flatMap((kind) => {
      const newest = counted.backups.findLast((backup) => backup.kind === kind);
      const isOld = newest === undefined ? !isNew : !isYounger(newest.startedAt, maxAgeHours[kind]);
      if (!isOld) return [];
      const age = newest === undefined ? "there is none" : `the newest is of ${ago(newest.startedAt)}`;
      return [`no ${kind} backup younger than ${maxAgeHours[kind]} h: ${age} (docker logs ${container})`];
    }),
    ...(list.illness === null || isNew ? [] : [`${container}: ${printable(list.illness)} (docker logs ${container})`]),
    ...missingServices(counted, withoutRetired(services)),
    ...missingRoles(counted, stack),
    ...spaceProblems(counted),
    ...copyProblems(list, isNew),
    ...list.broken.map(({ id, why }) => `${printable(id)} in the store is no backup: ${printable(why)}`),
  ];
}

/** Each service of the registry must be inside a dump that is young enough. */
function missingServices(list: BackupList, services: readonly Service[]): readonly string[] {
  const young = list.backups.filter(
    ({ kind, startedAt }) => kind === "logical" && isYounger(startedAt, maxAgeHours.logical),
  );
  const newest = young.at(-1);
  if (newest === undefined) return []; // said already, or to come
  const areNew = isYounger(list.settingsAt, graceHours);
  const unknown =
    newest.logical === undefined
      ? []
      : unknownServices(
          newest.logical,
          services.map(({ code }) => code),
        );
  return services
    .filter(({ code }) => !young.some(({ logical }) => logical?.services.includes(code)))
    .filter(({ code }) => !(areNew && unknown.includes(code)))
    .map(({ name, code }) => {
      const why = newest.logical?.leftOut.find(({ service }) => service === code)?.why;
      return (
        `${name} is in no dump younger than ${maxAgeHours.logical} h${why === undefined ? "" : ` (${printable(why)})`}: ` +
        "npm run ops -- backup now logical"
      );
    });
}

/** Their passwords and settings: without them a restore takes the stack's. */
function missingRoles({ backups }: BackupList, stack: string): readonly string[] {
  const newest = backups.findLast(({ kind }) => kind === "logical");
  const why = newest?.logical?.leftOut.find(({ service }) => service === globals)?.why;
  return why === undefined
    ? []
    : [
        `the newest dump has no roles: ${printable(why)}; npm run up -- ${stack}, then npm run ops -- backup now logical`,
      ];
}

/** A week's dumps must fit, a base backup with what is unpacked of it, and as much WAL as there is of the last week. */
function spaceProblems({ backups, freeBytes, weekOfWalBytes }: BackupList): readonly string[] {
  const sizes = (["logical", "physical"] as const).map((kind) => {
    const newest = backups.findLast((backup) => backup.kind === kind);
    return newest?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0;
  });
  const [logical = 0, physical = 0] = sizes;
  const needed = 7 * logical + 5 * physical + weekOfWalBytes;
  return freeBytes >= needed
    ? []
    : [
        `${bytes(freeBytes)} are free for backups, and a week may take ${bytes(needed)}: centraldb:backupRetentionDays, or a larger disk`,
      ];
}

function copyLine({ copy, backups, stateAt }: BackupList): string {
  if (copy === null) return "none: a backup on the same machine is lost with it";
  const there = backups.filter(({ id }) => copy.backups.includes(id)).length;
  const state = stateAt === null ? "no state of the stack: npm run up" : `the stack's state (${ago(stateAt)})`;
  const when = copy.completeAt === null ? "not complete yet" : `complete ${ago(copy.completeAt)}`;
  return `${printable(copy.to)}: ${there} of ${backups.length} backups, ${state}; ${when}`;
}

/** Of one that is configured: what is not there is lost with this machine. */
function copyProblems({ copy }: BackupList, isNew: boolean): readonly string[] {
  if (copy === null) return [];
  if (isYounger(copy.completeAt, maxCopyAgeHours) || (isNew && copy.failed === null)) return [];
  const why = copy.failed === null ? "" : `: ${printable(copy.failed.why)}`;
  return [`the second copy has not been complete for ${maxCopyAgeHours} h${why}`];
}

/** Lines of the status screen. */
export function backupLines({ list }: BackupStatus): readonly (readonly string[])[] {
  if (list === undefined) return [];
  const counted = past(list.backups, new Date());
  const newest = (kind: string) => {
    const found = counted.findLast((backup) => backup.kind === kind);
    return found === undefined ? `no ${kind} one yet` : `${kind} ${ago(found.startedAt)}`;
  };
  const ahead = list.backups.length - counted.length;
  const kept = `${list.backups.length} kept${ahead === 0 ? "" : `, ${ahead} of them dated in the future`}`;
  const [window] = windowsOf(list).slice(-1);
  return [
    ["backups", `${newest("logical")}, ${newest("physical")}; ${kept}`],
    ["free for backups", bytes(list.freeBytes)],
    ["points in time", window === undefined ? "none yet" : `${window.from} to ${window.to}`],
    ["last drill", describeDrill(list)],
    ["second copy", copyLine(list)],
  ];
}
