import { readFileSync } from "node:fs";
import { join } from "node:path";
import { backupRules, remoteOf } from "../../components/backup/settings-rules";
import { docker } from "../../components/cluster/docker-cli";
import { findVolumes } from "../../components/cluster/survey";
import { dockerNames, nodeNames } from "../../components/naming";
import { printable, show } from "../../services/printable";
import { OperatorError } from "../operator-error";
import type { Stack } from "../stack-file";

const script = readFileSync(join(__dirname, "second-copy.sh"), "utf8");

/** What a second copy has of a stack. */
export interface SecondCopy {
  readonly folder: string;
  /** As `pulumi stack export` has printed it; secrets are ciphertext in it. */
  readonly state: string;
  /** Ids, oldest first. */
  readonly backups: readonly string[];
}

/**
 * The folder a second copy is read from.
 * @param given `--from`; undefined: the stack's `centraldb:backupCopy`
 * @throws OperatorError where it is no folder
 */
export function copyFolder({ name, settings: { backupCopy } }: Stack, given: string | undefined): string {
  const [where, folder] = given === undefined ? ["centraldb:backupCopy", backupCopy] : ["--from", given];
  const isCopy = folder !== "" && backupRules.backupCopy.parse(folder) !== undefined;
  if (isCopy && remoteOf(folder) === undefined) return folder;
  if (isCopy) {
    throw new OperatorError(
      `${where}: ${show(folder)} is a remote of rclone, and the second copy is read from a folder: ` +
        `rclone copy ${printable(folder)} FOLDER, then npm run ops -- recover --from FOLDER --stack ${name}`,
    );
  }
  throw new OperatorError(
    `${where}: got ${show(folder)}, expected the second copy's folder on the engine's machine, such as --from /mnt/nas/centraldb`,
  );
}

/** @throws OperatorError where the folder is missing, or is no second copy of this stack */
export function readCopy(stack: Stack, folder: string): SecondCopy {
  const lines = inContainer(stack, [copyMount(folder)], "look")
    .split("\n")
    .filter(Boolean);
  const states = lines.flatMap((line) => /^state\/(.+)\.json$/.exec(line)?.[1] ?? []).sort();
  const backups = lines.flatMap((line) => /^backups\/(.+)\/manifest\.json$/.exec(line)?.[1] ?? []).sort();
  const lacks = [
    ...(states.includes(stack.name) ? [] : [`state/${stack.name}.json`]),
    // A dump alone has no passwords and no WAL: it wants a platform it is restored into.
    ...(backups.some((id) => id.endsWith("-physical")) ? [] : ["backups/…-physical/manifest.json"]),
  ];
  if (lacks.length > 0) {
    const others =
      states.length > 0 && !states.includes(stack.name) ? `; it has the state of ${states.join(", ")}` : "";
    throw new OperatorError(
      `${printable(folder)} is no second copy of stack ${stack.name}: it has no ${lacks.join(", no ")}${printable(others)} (is it mounted?)`,
    );
  }
  return { folder, backups, state: inContainer(stack, [copyMount(folder)], "state", stack.name) };
}

/**
 * Which of the stack's volumes have what a recovery would have to overwrite, by name.
 * @throws OperatorError where one is another stack's
 */
export function occupiedVolumes(stack: Stack): readonly string[] {
  const names = dockerNames(stack.settings.namePrefix);
  const holding = [...nodeNames.map((node) => names[node].volume), names.backup.volume];
  const found = findVolumes(holding, stack.dockerHost);
  const foreign = found.find(({ stack: maker }) => maker !== undefined && maker !== stack.name);
  if (foreign !== undefined) throw new OperatorError(`the volume ${foreign.name} is of stack ${String(foreign.stack)}`);
  if (found.length === 0) return [];
  const mounts = found.map(({ name }) => `type=volume,source=${name},target=/volumes/${name},readonly`);
  return inContainer(stack, mounts, "occupied").split("\n").filter(Boolean);
}

/** Copies backups and WAL into the backups' volume, where they are not yet. */
export function fillBackups(stack: Stack, { folder }: SecondCopy): void {
  const { volume } = dockerNames(stack.settings.namePrefix).backup;
  inContainer(stack, [copyMount(folder), `type=volume,source=${volume},target=/backups`], "fill");
}

/** A mount of its own kind: what is missing it does not make. */
const copyMount = (folder: string) => `type=bind,source=${folder},target=/copy,readonly`;

/** Runs an action of second-copy.sh, in the servers' image: nothing else is there yet. What it printed. */
function inContainer(
  { settings, dockerHost }: Stack,
  mounts: readonly string[],
  ...action: readonly [string, ...string[]]
): string {
  const { status, stdout, stderr } = docker(
    [
      ...["run", "--rm", "--network", "none", "--user", "root"],
      ...mounts.flatMap((mount) => ["--mount", mount]),
      ...["--entrypoint", "bash", settings.image, "-c", script, "recover", ...action],
    ],
    { host: dockerHost },
  );
  if (status === 0) return stdout;
  const missing = /bind source path does not exist: (\S+)/.exec(stderr)?.[1];
  if (missing !== undefined)
    throw new OperatorError(`the engine's machine has no folder ${printable(missing)} (is it mounted?)`);
  throw new OperatorError(`recover ${action[0]}: ${printable(stderr.trim())}`);
}
