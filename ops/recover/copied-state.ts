import { identityName } from "../../components/cluster/labels";
import { volumeType } from "../../components/lifecycle/state";
import { dockerNames } from "../../components/naming";
import type { ExportedState } from "../lifecycle/pulumi-state";
import type { Stack } from "../stack-file";

/** A state of a second copy, as far as it is looked at. */
export interface CopiedState extends ExportedState {
  readonly secrets_providers?: { readonly type?: string; readonly state?: { readonly salt?: string } };
}

/** Of the text of a `pulumi stack export`; undefined where it is none. */
export function parseState(text: string): CopiedState | undefined {
  try {
    const { deployment } = JSON.parse(text) as { readonly deployment?: CopiedState };
    return deployment;
  } catch {
    return undefined;
  }
}

/** Why a state cannot be this stack's, in words; undefined where nothing speaks against it. */
export function stateFlaw(
  state: CopiedState | undefined,
  { name, settings }: Pick<Stack, "name" | "settings">,
): string | undefined {
  const resources = state?.resources ?? [];
  const [root] = resources.flatMap(({ urn }) => /^urn:pulumi:([^:]+)::centraldb::/.exec(urn)?.[1] ?? []);
  if (root === undefined) return "it is no state that npm run up has handed over";
  if (root !== name) return `it is of stack ${root}, not of ${name}`;
  const { volume } = dockerNames(settings.namePrefix).primary;
  const had = resources.find(({ type, urn }) => type === volumeType && urn.endsWith("::cluster-primary-data"))?.id;
  if (had === undefined || had === volume) return undefined;
  return (
    `its data were in the volume ${had}, and centraldb:namePrefix makes that ${volume}: ` +
    `put ${had.replace(/-primary-data$/, "")} back`
  );
}

/** Whether both are of one history of the stack: whoever begins anew has another. */
export function isSameHistory(one: ExportedState | undefined, other: ExportedState | undefined): boolean {
  const identity = (state: ExportedState | undefined) =>
    state?.resources?.find(({ urn }) => urn.endsWith(`::${identityName}`))?.id;
  return identity(one) !== undefined && identity(one) === identity(other);
}

/** The salt of a passphrase; undefined where another kind of secrets manager encrypts. */
export function saltOf({ secrets_providers: provider }: CopiedState): string | undefined {
  return provider?.type === "passphrase" ? provider.state?.salt : undefined;
}
