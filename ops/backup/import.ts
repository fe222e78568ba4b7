import { randomBytes } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";
import { BackupFailure } from "../../agent/failure";
import { places, settingsFile, settingsVariable } from "../../agent/settings";
import { agentFile } from "../../components/backup/agent-file";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { isPrintable, show } from "../../services/printable";
import { listBackups } from "./list";
import { OperatorError } from "../operator-error";
import { pipe } from "../restore/pipe";
import type { Stack } from "../stack-file";
import { bytes } from "../status/format";

/** SQL is split, has no indexes yet and its rows come without headers, a base backup is compressed: an estimate. */
const unpackedTimes = 5;
/** Of an empty server. */
const serverBytes = 256 * 1024 ** 2;
/** As of the drill's container: a service's code that takes more must not end the servers beside it. */
const memory = "4g";

/**
 * Makes a backup of a file of pg_dump's or pg_basebackup's, as the page's commands write them. What is in it runs in a container of its
 * own, which has no network and no volume with a password; of SQL, each service's as its owner.
 * @param trustsOwners not to have pretended in SQL to be each other; without it a file in which one could have is refused
 * @throws OperatorError where it is no such file, or cannot be loaded
 */
export async function importBackup(
  stack: Stack,
  file: string,
  { trustsOwners, signal }: { readonly trustsOwners: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const size = sizeOf(file);
  const name = basename(file);
  if (!isPrintable(name) || name.length > 200)
    throw new OperatorError(`${show(name)} cannot be a backup's name: rename it`);
  const { freeBytes } = listBackups(stack);
  const needed = size * unpackedTimes + serverBytes;
  if (freeBytes < needed) {
    throw new OperatorError(
      `${bytes(freeBytes)} are free on the engine's disk, and ${bytes(needed)} may be needed to load ${file}`,
    );
  }
  const { container } = dockerNames(stack.settings.namePrefix).backup;
  const of = (...args: string[]) => ask(stack, args);
  const image = of("inspect", "--type", "container", "--format", "{{.Image}}", container);
  const settings = of("exec", container, "cat", settingsFile(places));
  const limits = [
    "--network=none",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    `--memory=${memory}`,
    `--memory-swap=${memory}`,
  ];
  const scratch = ["--volume=/drill", `--env=${settingsVariable}=${settings}`];
  // With a name of its own, and made before anything is waited for: what is stopped while the engine makes it would go on by itself.
  const loading = `${container}-import-${randomBytes(4).toString("hex")}`;
  const make = [
    "create",
    `--name=${loading}`,
    "--rm",
    "--init",
    "--interactive",
    "--user=postgres",
    ...limits,
    ...scratch,
    image,
    "import",
    "load",
    "--scratch=/drill",
    ...(trustsOwners ? ["--trust-owners"] : []),
  ];
  const load = ["start", "--attach", "--interactive", loading];
  const keep = ["exec", "--interactive", container, "node", agentFile, "import", "keep", `--name=${name}`];
  const remove = () => docker(["rm", "--force", "--volumes", loading], { host: stack.dockerHost });
  const removing = setInterval(() => {
    if (signal.aborted) remove();
  }, removeMs);
  try {
    ask(stack, make);
    signal.throwIfAborted();
    await pipe([load, keep], {
      host: stack.dockerHost,
      signal,
      input: createReadStream(file),
      say: (text) => process.stdout.write(text),
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof BackupFailure)) throw error;
    throw new OperatorError(`${file} is not imported: ${error.message.replace(/^error: /, "")}`);
  } finally {
    clearInterval(removing);
    // Where it has run to its end it is gone.
    remove();
  }
}

/** As long as it may take to end by itself. */
const removeMs = 5_000;

/** What may be imported, behind "one". */
export const importable = "that pg_dump (SQL, or -Fc) or pg_basebackup (one tar) has written";

const expected = `expected one ${importable}, such as backup_20261127.sql`;

function sizeOf(file: string): number {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new OperatorError(`there is no file ${show(file)}: ${expected}`);
  if (!found.isFile()) throw new OperatorError(`${show(file)} is no file: ${expected}`);
  if (found.size === 0) throw new OperatorError(`${show(file)} is empty: ${expected}`);
  return found.size;
}

/** @throws OperatorError in docker's words */
function ask({ dockerHost: host }: Stack, args: readonly string[]): string {
  const { status, stdout, stderr } = docker(args, { host });
  if (status !== 0) throw new OperatorError(stderr.trim());
  return stdout.trim();
}
