import { createHash } from "node:crypto";
import { dockerNames, peerOf, type NodeName } from "../naming";
import type { Settings } from "../settings-rules";
import { postgresqlConf, settingsReadAtStart } from "./configuration/postgresql-conf";
import { restartLabelPrefix } from "./labels";
import { nodeScriptText } from "./node-script";
import type { Survey } from "./survey";

type Labels = Readonly<Record<string, string>>;

/**
 * Labels of a node's container: all that only another container brings, so that a preview can say what changes. The settings
 * among them are nowhere else in the container's definition: their label is what replaces it.
 */
export function restartLabels(settings: Settings, node: NodeName): Labels {
  const rows = [
    ...settingsReadAtStart(postgresqlConf(settings)),
    { name: "image", value: settings.image },
    { name: "address", value: `${settings.bindAddress}:${settings[`${node}Port`]}` },
    { name: "memory", value: `${settings.memoryMiB} MiB` },
    { name: "node.sh", value: createHash("sha256").update(nodeScriptText).digest("hex").slice(0, 12) },
  ];
  // The name once more: a preview shows of a changed label only the value.
  return Object.fromEntries(rows.map(({ name, value }) => [restartLabelPrefix + name, `${name} = ${value}`]));
}

/**
 * What the person who looks at a preview must know of the servers: which `up` will restart and why, and which it will
 * leave stopped, because pulumi does not see that.
 */
export function restartNotices(nodes: Survey["nodes"], settings: Settings, stack: string): readonly string[] {
  const names = dockerNames(settings.namePrefix);
  const found = [settings.primaryNode, peerOf(settings.primaryNode)].flatMap((node) => {
    const { state, labels = {} } = nodes[node] ?? {};
    if (state === undefined) return [];
    const planned = restartLabels(settings, node);
    const changes = [...new Set([...Object.keys(labels), ...Object.keys(planned)])]
      .filter((label) => label.startsWith(restartLabelPrefix) && labels[label] !== planned[label])
      .map(
        (label) => `${label.slice(restartLabelPrefix.length)} = ${valueOf(labels[label])} → ${valueOf(planned[label])}`,
      );
    return [{ container: names[node].container, state, changes }];
  });
  const restarted = found.filter(({ changes }) => changes.length > 0);
  const changes = [...new Set(restarted.flatMap((node) => node.changes))].sort();
  return [
    ...(restarted.length === 0
      ? []
      : [`up restarts ${restarted.map(({ container }) => container).join(", then ")}: ${changes.join(", ")}`]),
    ...found.flatMap(({ container, state, changes: own }) => {
      if (state === "running" || own.length > 0) return [];
      const cure = state === "restarting" ? `docker logs ${container}` : `npm run ops -- start --stack ${stack}`;
      return [`${container} is ${state}, which pulumi up does not change: ${cure}`];
    }),
  ];
}

function valueOf(label: string | undefined): string {
  return label?.replace(/^\S+ = /, "") ?? "default";
}
