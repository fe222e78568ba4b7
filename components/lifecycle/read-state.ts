import * as pulumi from "@pulumi/pulumi";
import type { OwnState } from "./state";

interface Answer {
  /** By URN. */
  readonly outputs?: Readonly<
    Record<
      string,
      {
        readonly type: string;
        readonly outputs: {
          readonly id?: string;
          readonly name?: string;
          readonly lifecycle?: string;
          readonly login?: boolean;
          readonly labels?: readonly { readonly label: string; readonly value: string }[] | null;
        };
      }
    >
  >;
}

/**
 * Reads what the state of this very stack says, from inside the program and with any backend. The engine's built-in function
 * is what `pulumi.StackReference` uses; it sees the state as it was when the update began.
 */
export async function readOwnState(): Promise<OwnState> {
  const stackName = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
  const answer = (await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName })) as Answer;
  return Object.entries(answer.outputs ?? {}).map(([urn, { type, outputs }]) => ({
    type,
    name: urn.split("::").at(-1) ?? "",
    called: outputs.name ?? "",
    id: outputs.id ?? "",
    ...(outputs.lifecycle === undefined ? {} : { lifecycle: outputs.lifecycle }),
    ...(outputs.login === undefined ? {} : { login: outputs.login }),
    labels: Object.fromEntries((outputs.labels ?? []).map(({ label, value }) => [label, value])),
  }));
}
