import { dockerNames, peerOf } from "../naming";
import type { Settings } from "../settings-rules";
import { postgresqlConf, settingsReadAtStart } from "./configuration/postgresql-conf";
import type { Survey } from "./survey";

type Labels = Readonly<Record<string, string>>;

/** Labels of a node's container: the image and every setting that only a restart brings, so that a change of one replaces it. */
export function restartLabels(settings: Settings): Labels {
  return Object.fromEntries(
    [...settingsReadAtStart(postgresqlConf(settings)), { name: "image", value: settings.image }].map(
      // The name once more: a preview shows of a changed label only the value.
      ({ name, value }) => [`postgresql.${name}`, `${name} = ${value}`],
    ),
  );
}

/**
 * What the person who looks at a preview must know of the servers: which `up` will restart and why, and which it will
 * leave stopped, because pulumi does not see that.
 */
export function restartNotices(nodes: Survey["nodes"], settings: Settings, stack: string): readonly string[] {
  const names = dockerNames(settings.namePrefix);
  const planned = restartLabels(settings);
  const found = [settings.primaryNode, peerOf(settings.primaryNode)].flatMap((node) => {
    const { state, labels = {} } = nodes[node] ?? {};
    if (state === undefined) return [];
    const changes = [...new Set([...Object.keys(labels), ...Object.keys(planned)])]
      .filter((label) => label.startsWith("postgresql.") && labels[label] !== planned[label])
      .map((label) => `${label.slice("postgresql.".length)} = ${valueOf(labels[label])} → ${valueOf(planned[label])}`);
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
