import { execFileSync } from "node:child_process";
import { show } from "../../services/printable";
import { OperatorError } from "../operator-error";

const git = (folder: string, ...args: readonly string[]) =>
  execFileSync("git", args, { cwd: folder, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] });

/**
 * The commit a branch, tag or number means.
 * @throws OperatorError where there is none here
 */
export function commitOf(folder: string, option: string, ref: string): string {
  try {
    return git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`).trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new OperatorError(`${option} ${show(ref)}: git is not installed, and the commits are its`);
    }
    throw new OperatorError(
      `${option} ${show(ref)}: no such commit here; allowed is a branch, tag or commit of this repository ` +
        "(git branch -a lists them; a shallow clone has few: git fetch --unshallow)",
    );
  }
}

/**
 * Where `head` left `base`: what it is compared with, so that what came to `base` meanwhile is not its doing.
 * @throws OperatorError where the two have no common past here
 */
export function forkPoint(folder: string, base: string, head: string): string {
  try {
    return git(folder, "merge-base", base, head).trim();
  } catch {
    throw new OperatorError(
      `${base} and ${head} have no common past here: a shallow clone has not enough of it (git fetch --unshallow)`,
    );
  }
}

/** A file as a commit has it; undefined where it has none. */
export function fileAt(folder: string, commit: string, path: string): string | undefined {
  if (git(folder, "ls-tree", "--name-only", commit, "--", path).trim() === "") return undefined;
  return git(folder, "show", `${commit}:${path}`);
}
