import { spawnSync } from "node:child_process";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { OperatorError } from "../operator-error";
import { projectFolder, type Stack } from "../stack-file";

interface ExportedResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly inputs?: Readonly<Record<string, unknown>>;
}

/** What `pulumi stack export` says, as far as it is looked at. Secrets are ciphertext in it. */
export interface ExportedState {
  readonly pending_operations?: readonly { readonly type: string }[];
  readonly resources?: readonly ExportedResource[];
}

/** The same as text, whole; undefined where pulumi cannot read it. */
export function exportStateText(stack: string, env: NodeJS.ProcessEnv): string | undefined {
  const { status, stdout } = pulumi(stack, env, "stack", "export");
  return status === 0 ? stdout : undefined;
}

/** The stack's state; undefined where pulumi cannot read it, which the next command tells. */
export function exportState(stack: string, env: NodeJS.ProcessEnv): ExportedState | undefined {
  const text = exportStateText(stack, env);
  return text === undefined ? undefined : (JSON.parse(text) as { readonly deployment: ExportedState }).deployment;
}

/**
 * Forgets what an update that was killed was creating: pulumi would warn of it for ever. Whether it was made `up` finds out
 * itself (adoptRoles, Differences). A refresh that looks at no server is how pulumi does it.
 */
export function clearPendingCreates(state: ExportedState, stack: string, env: NodeJS.ProcessEnv): void {
  const root = state.resources?.find(({ type }) => type === "pulumi:pulumi:Stack")?.urn;
  if (root === undefined || !state.pending_operations?.some(({ type }) => type === "creating")) return;
  pulumi(stack, env, "refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--target", root);
}

/** Has pulumi see that the network it knows is gone: then `up` makes it again, or takes over the one that has its name now. */
export function refreshLostNetwork(state: ExportedState, { name, dockerHost }: Stack, env: NodeJS.ProcessEnv): void {
  const network = state.resources?.find(({ type }) => type === "docker:index/network:Network");
  if (network?.id === undefined || docker(["network", "inspect", network.id], { host: dockerHost }).status === 0)
    return;
  pulumi(name, env, "refresh", "--yes", "--skip-preview", "--target", network.urn);
}

/**
 * A refresh asks for each role and grant where the state says the primary is: without one there it is 200 errors and no update.
 * @throws OperatorError in that case
 */
export function refuseVainRefresh(state: ExportedState, { name, settings, dockerHost }: Stack): void {
  const cure = `first without --refresh: npm run up -- ${name}`;
  const provider = state.resources?.find(({ type }) => type === "pulumi:providers:postgresql");
  if (provider === undefined) return;
  const port = settings[`${settings.primaryNode}Port`];
  if (Number(provider.inputs?.["port"]) !== port) {
    throw new OperatorError(
      `--refresh: the state says the primary is on port ${String(provider.inputs?.["port"])}, and it is on ${port}; ${cure}`,
    );
  }
  const { container } = dockerNames(settings.namePrefix)[settings.primaryNode];
  if (docker(["exec", container, "pg_isready", "--quiet"], { host: dockerHost }).status !== 0) {
    throw new OperatorError(`--refresh: ${container}, which it asks, does not answer; ${cure}`);
  }
}

function pulumi(stack: string, env: NodeJS.ProcessEnv, ...args: string[]): { status: number | null; stdout: string } {
  return spawnSync("pulumi", [...args, "--stack", stack, "--non-interactive"], {
    cwd: projectFolder,
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}
