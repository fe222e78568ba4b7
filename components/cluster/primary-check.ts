import { dockerNames, nodeNames, peerOf, type NodeName } from "../naming";
import type { Settings } from "../settings-rules";

/** What a node's data say; `unknown` where there are none, or nobody can be asked. */
export type NodeRole = "primary" | "standby" | "unknown";

/** What pg_control says of a node, whether it runs or not. */
export interface NodeData {
  readonly role: NodeRole;
  /** Goes up with every promotion; 0 where it is not known. */
  readonly timeline: number;
  readonly running: boolean;
}

/** Of a node without data. */
export const noData: NodeData = { role: "unknown", timeline: 0, running: false };

/** What the output of pg_controldata says, of a server that runs or as it was when it ended. */
export function nodeData(controlData: string, running: boolean): NodeData {
  const state = /^Database cluster state: +(.*)$/m.exec(controlData)?.[1];
  // Of who was promoted the first checkpoint may come minutes later; the end of its recovery is written down at once.
  const timelines = [/^Latest checkpoint's TimeLineID: +(\d+)$/m, /^Min recovery ending loc's timeline: +(\d+)$/m];
  const timeline = Math.max(...timelines.map((pattern) => Number(pattern.exec(controlData)?.[1] ?? 0)));
  if (state === undefined) return { ...noData, running };
  const isStandby = state.includes("recovery") && state !== "in crash recovery";
  return { role: isStandby ? "standby" : "primary", timeline, running };
}

/**
 * Why `centraldb:primaryNode` cannot be right, with the cure; undefined where nothing contradicts it. Grants are made on
 * the primary: a stale value would make them nowhere, or start a server whose rows have gone on elsewhere.
 */
export function primaryContradiction(
  { primaryNode, namePrefix }: Settings,
  data: Readonly<Record<NodeName, NodeData>>,
): string | undefined {
  const names = dockerNames(namePrefix);
  const peer = peerOf(primaryNode);
  const [configured, other] = [data[primaryNode], data[peer]];
  if (nodeNames.every((node) => data[node].role === "primary" && data[node].running)) {
    return (
      `both ${names.primary.container} and ${names.replica.container} are primaries: writes go to two places. ` +
      "Stop the one that must not serve (docker stop), and keep its volume until you know what it has"
    );
  }
  const isOlder = configured.role === "primary" && other.timeline > configured.timeline;
  const otherIsPrimary = other.role === "primary" && (configured.role !== "primary" || isOlder);
  if (!otherIsPrimary && configured.role !== "standby") return undefined;
  const found = [
    configured.role === "standby" ? `${names[primaryNode].container} is a standby` : undefined,
    isOlder ? `${names[primaryNode].container} was the primary before` : undefined,
    otherIsPrimary ? `${names[peer].container} is the primary` : undefined,
  ].filter((text) => text !== undefined);
  const cure = otherIsPrimary
    ? `pulumi config set centraldb:primaryNode ${peer}, or the same in the stack's file`
    : "promote a node, or start the one that is the primary";
  return `centraldb:primaryNode: it is "${primaryNode}", but ${found.join(" and ")}; ${cure}`;
}
