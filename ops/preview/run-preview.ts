import { spawnSync } from "node:child_process";
import { printable } from "../../services/printable";
import { OperatorError } from "../operator-error";
import { pulumiEnvironment } from "../pulumi-cli";
import { projectFolder } from "../stack-file";
import { readPreview, type Preview } from "./read-preview";

/**
 * What `up` would do with a stack, compared with what is really there (`--refresh`). Changes nothing.
 * @throws OperatorError where pulumi has nothing to say of it
 */
export function runPreview(stack: string): Preview {
  const args = ["preview", "--refresh", "--json", "--non-interactive", "--stack", stack];
  const { stdout, stderr, error } = spawnSync("pulumi", args, {
    cwd: projectFolder,
    env: { ...pulumiEnvironment(), PULUMI_SKIP_UPDATE_CHECK: "1" },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
  // One that fails prints what it has come to as well.
  if (stdout.trimStart().startsWith("{")) return readPreview(stdout, `the preview of ${stack}`);
  throw new OperatorError(`stack ${stack}: ${printable(stderr.trim().split("\n").at(-1) ?? "pulumi says nothing")}`);
}
