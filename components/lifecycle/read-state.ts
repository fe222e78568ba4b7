import * as pulumi from "@pulumi/pulumi";
import type { OwnResource, OwnState } from "./state";

/**
 * Reads what the state of this very stack says, from inside the program and with any backend. The engine's built-in function
 * is what `pulumi.StackReference` uses; it sees the state as it was when the update began.
 */
export async function readOwnState(): Promise<OwnState> {
  const stackName = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
  const { outputs = {} } = (await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName })) as {
    readonly outputs?: Readonly<Record<string, Pick<OwnResource, "type" | "outputs">>>;
  };
  return Object.entries(outputs).map(([urn, { type, outputs: values }]) => ({
    type,
    name: urn.split("::").at(-1) ?? "",
    outputs: values,
  }));
}
