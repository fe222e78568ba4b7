import { dockerNames, nodeNames, peerOf, type NodeName } from "../naming";
import type { Settings } from "../settings-rules";

/** What a node's data say at this moment; `unknown` where it does not run. */
export type NodeRole = "primary" | "standby" | "unknown";

/**
 * Why `centraldb:primaryNode` cannot be right, with the cure; undefined where nothing contradicts it. Grants are made on
 * the primary: a stale value would make them nowhere, or on a server whose writes are lost.
 */
export function primaryContradiction(
  { primaryNode, namePrefix }: Settings,
  roles: Readonly<Record<NodeName, NodeRole>>,
): string | undefined {
  const names = dockerNames(namePrefix);
  const peer = peerOf(primaryNode);
  if (nodeNames.every((node) => roles[node] === "primary")) {
    return (
      `both ${names.primary.container} and ${names.replica.container} are primaries: writes go to two places. ` +
      "Stop the one that must not serve (docker stop), and keep its volume until you know what it has"
    );
  }
  if (roles[primaryNode] === "primary" || (roles[primaryNode] === "unknown" && roles[peer] !== "primary")) {
    return undefined;
  }
  const found = [
    roles[primaryNode] === "standby" ? `${names[primaryNode].container} is a standby` : undefined,
    roles[peer] === "primary" ? `${names[peer].container} is the primary` : undefined,
  ].filter((text) => text !== undefined);
  const cure =
    roles[peer] === "primary"
      ? `pulumi config set centraldb:primaryNode ${peer}, or the same in the stack's file`
      : "promote a node, or start the one that is the primary";
  return `centraldb:primaryNode: it is "${primaryNode}", but ${found.join(" and ")}; ${cure}`;
}
