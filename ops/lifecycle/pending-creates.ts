import { spawnSync } from "node:child_process";
import { projectFolder } from "../stack-file";

interface Exported {
  readonly deployment: {
    readonly pending_operations?: readonly { readonly type: string }[];
    readonly resources?: readonly { readonly urn: string; readonly type: string }[];
  };
}

/**
 * Forgets what an update that was killed was creating: pulumi would warn of it for ever. Whether it was made `up` finds out
 * itself (adoptRoles, Differences). A refresh that looks at no server is how pulumi does it.
 */
export function clearPendingCreates(stack: string, env: NodeJS.ProcessEnv): void {
  const pulumi = (...args: string[]) =>
    spawnSync("pulumi", [...args, "--stack", stack, "--non-interactive"], {
      cwd: projectFolder,
      env,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
  const { status, stdout } = pulumi("stack", "export");
  if (status !== 0) return; // up says why
  const { pending_operations: pending = [], resources = [] } = (JSON.parse(stdout) as Exported).deployment;
  const root = resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.urn;
  if (root === undefined || !pending.some(({ type }) => type === "creating")) return;
  pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--target", root);
}
