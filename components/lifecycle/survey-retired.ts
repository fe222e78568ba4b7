import { randomUUID } from "node:crypto";
import { printable } from "../../services/printable";
import type { ResolvedService } from "../../services/service";
import { superuserRole } from "../access/plan-items";
import { renderDrop, retiredQuery } from "../access/retired-sql";
import { agentFile } from "../backup/agent-file";
import { docker, type DockerRun } from "../cluster/docker-cli";
import type { Survey } from "../cluster/survey";
import { dockerNames, nodeNames } from "../naming";
import { database, type Settings } from "../settings-rules";
import { keptFlaws, proofFlaws, type FoundRetired, type ProofList, type SurveyedRetired } from "./retired";

/** Where to ask. */
export interface Asked {
  readonly settings: Pick<Settings, "namePrefix">;
  readonly dockerHost: string | undefined;
}

/** The container of the primary that runs, as a survey has found it. */
export function primaryContainer({ namePrefix }: Asked["settings"], { data }: Survey): string | undefined {
  const node = nodeNames.find((one) => data[one].role === "primary" && data[one].running);
  return node === undefined ? undefined : dockerNames(namePrefix)[node].container;
}

/**
 * What there is of services that are retired, and what their backups prove; undefined where the primary cannot be asked.
 * @param stack whose backups of the registry count
 */
export function surveyRetired(
  stack: string,
  retired: readonly ResolvedService[],
  container: string | undefined,
  asked: Asked,
): ReadonlyMap<string, SurveyedRetired> | undefined {
  if (container === undefined) return undefined;
  const found = new Map<string, SurveyedRetired>();
  for (const service of retired) {
    const here = findRetired(service, container, asked);
    if (here === undefined) return undefined;
    const backup = service.retiredBackups[stack];
    const flaws = backup === undefined || !here.hasSchema ? [] : provenFlaws(service, backup, here, asked);
    found.set(service.code, { ...here, flaws });
  }
  return found;
}

/** It follows whatever stands on the schema: twenty million dependencies took half a minute. */
const findTimeoutMs = 120_000;

/** What the primary has of a service; undefined where it does not answer. */
export function findRetired(
  service: Pick<ResolvedService, "code">,
  container: string,
  { dockerHost: host }: Asked,
): FoundRetired | undefined {
  const ran = psql(container, retiredQuery(service), { host, timeoutMs: findTimeoutMs });
  if (ran.status !== 0) return undefined;
  const found = JSON.parse(ran.stdout) as FoundRetired;
  return { ...found, obstacles: found.obstacles.map(printable) }; // names in them are as their owners like
}

/**
 * Against the backup itself, and by what it has against what is there now: nothing was written since. A drop that has begun with a backup
 * was compared with it before, and cannot be again.
 */
function provenFlaws(
  service: ResolvedService,
  id: string,
  { begun }: FoundRetired,
  { settings, dockerHost: host }: Asked,
): readonly string[] {
  const { container } = dockerNames(settings.namePrefix).backup;
  const agent = (...args: string[]) => docker(["exec", container, "node", agentFile, ...args], { host });
  const list = agent("list");
  if (list.status !== 0) return [`${container} cannot be asked for it (${printable(list.stderr.trim())})`];
  const known = JSON.parse(list.stdout) as ProofList;
  if (begun === id) return keptFlaws(service, id, known);
  const flaws = proofFlaws(service, id, known);
  if (flaws.length > 0) return flaws;
  const compared = agent("compare", id, "--database", database, "--services", service.code);
  if (compared.status !== 0)
    return [`${id} cannot be compared with what is there (${printable(compared.stderr.trim())})`];
  const [first, ...more] = JSON.parse(compared.stdout) as readonly string[];
  if (first === undefined) return [];
  return [`${id} is not what is there: ${printable(first)}${more.length > 0 ? `, and ${more.length} more` : ""}`];
}

/** Of one transaction: longer than it waits for any lock. */
const dropTimeoutMs = 600_000;

/**
 * Drops a service, in as many transactions as it takes; a second time it does nothing, and one that was killed is gone on with. The exit
 * status is the caller's to judge.
 * @param backup that was compared with what is there, or with which the drop has begun
 */
export function dropRetired(
  service: Pick<ResolvedService, "code">,
  backup: string,
  container: string,
  host: string | undefined,
): DockerRun {
  const input = renderDrop(service, backup, randomUUID());
  for (;;) {
    const ran = psql(container, input, { host, timeoutMs: dropTimeoutMs });
    if (ran.status !== 0 || ran.stdout.trim().split("\n").at(-1) !== "t") return ran;
  }
}

function psql(
  container: string,
  input: string,
  options: { readonly host: string | undefined; readonly timeoutMs: number },
) {
  const command = ["psql", "-XqAtU", superuserRole, "-d", database, "-v", "ON_ERROR_STOP=1", "-f", "-"];
  return docker(["exec", "--interactive", container, ...command], { input, ...options });
}
