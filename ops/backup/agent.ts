import { spawnSync } from "node:child_process";
import { backupKinds, type BackupKind } from "../../agent/schedule";
import { agentFile } from "../../components/backup/agent-file";
import { containerState, dockerVariables } from "../../components/cluster/docker-cli";
import { dockerNames, type ContainerKey } from "../../components/naming";
import { didYouMean } from "../../services/did-you-mean";
import { show } from "../../services/printable";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";

/** Containers in which the agent works. */
export type AgentKey = Extract<ContainerKey, "backup" | "drill">;

/** Its container's name. */
export const containerOf = ({ settings }: Stack, key: AgentKey): string =>
  dockerNames(settings.namePrefix)[key].container;

/** @throws OperatorError with what to do */
export function requireRunning(stack: Stack, key: AgentKey): void {
  const container = containerOf(stack, key);
  const state = containerState(container, stack.dockerHost);
  if (state === undefined) throw new OperatorError(`${container} does not exist: npm run up -- ${stack.name}`);
  if (state === "running") return;
  throw new OperatorError(`${container} is ${state}: npm run ops -- start --stack ${stack.name}`);
}

/** Runs the agent's command line in its container; what it prints goes to the person. */
export function runAgent(stack: Stack, key: AgentKey, ...args: readonly string[]): void {
  requireRunning(stack, key);
  const { status } = spawnSync("docker", ["exec", containerOf(stack, key), "node", agentFile, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...dockerVariables(stack.dockerHost) },
  });
  if (status !== 0) process.exitCode = 1;
}

/**
 * The kinds a word asks for.
 * @throws OperatorError for another word
 */
export function kindsOf(word: string): readonly BackupKind[] {
  if (word === "all") return backupKinds;
  const kinds = backupKinds.filter((one) => one === word);
  if (kinds.length > 0) return kinds;
  throw new OperatorError(
    `kind of a backup: got ${show(word)}, allowed are ${backupKinds.join(", ")} and all${didYouMean(word, [...backupKinds, "all"])}`,
  );
}

/**
 * A backup's id.
 * @throws OperatorError for what cannot be one
 */
export function parseBackupId(word: string): string {
  if (/^\d{8}T\d{6}Z-(logical|physical|imported)$/.test(word)) return word;
  throw new OperatorError(
    `id of a backup: got ${show(word)}, it is like 20261126T170000Z-logical; npm run ops -- backup list has all, and backup import makes one of a file`,
  );
}

/** Makes backups now: what is due and what is not. */
export function backupNow(stack: Stack, kinds: readonly BackupKind[]): void {
  for (const kind of kinds) runAgent(stack, "backup", "now", kind);
}
