import { writeFileSync } from "node:fs";
import { rcloneConfigFile } from "../../components/backup/agent-file";
import { BackupFailure } from "../failure";
import { runTool, type ToolOptions } from "../tool";

/**
 * Runs rclone with the configuration that `up` has given.
 * @param files of which it is about, by path below the first folder; undefined: the command says it
 * @returns its standard output
 * @throws BackupFailure with its words
 */
export async function rclone(
  args: readonly string[],
  files: readonly string[] | undefined,
  options: ToolOptions,
): Promise<string> {
  if (files?.length === 0) return "";
  const { store } = options.places;
  const list = `${store}/copy.files`;
  const chosen = files === undefined ? [] : [`--files-from-raw=${list}`];
  if (files !== undefined) writeFileSync(list, files.map((file) => `${file}\n`).join(""), { mode: 0o600 });
  const common = [`--config=${rcloneConfigFile}`, "--retries=2", "--stats=0", "--log-level=ERROR"];
  try {
    return await runTool("rclone", [...args, ...chosen, ...common], options);
  } catch (error) {
    // What failed matters; each line has the time once more.
    const times = /\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /g;
    throw error instanceof BackupFailure ? new BackupFailure(error.message.replaceAll(times, "")) : error;
  }
}

/** A file may grow meanwhile. */
export async function copyFiles(
  from: string,
  to: string,
  files: readonly string[],
  options: ToolOptions,
): Promise<void> {
  await rclone(["copy", "--no-traverse", "--local-no-check-updated", from, to], files, options);
}

/** Reads both: a remote's own word for what it has is not asked. */
export async function copyAndCompare(
  from: string,
  to: string,
  files: readonly string[],
  options: ToolOptions,
): Promise<void> {
  await copyFiles(from, to, files, options);
  await rclone(["check", "--download", "--one-way", from, to], files, options);
}

/** Paths of all files below a folder; none where the folder is not there. */
export async function filesThere(folder: string, options: ToolOptions): Promise<ReadonlySet<string>> {
  try {
    return new Set((await rclone(["lsf", "--recursive", "--files-only", folder], undefined, options)).split("\n"));
  } catch (error) {
    if (error instanceof BackupFailure && error.message.includes("directory not found")) return new Set();
    throw error;
  }
}
