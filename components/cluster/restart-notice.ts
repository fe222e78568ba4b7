import { dockerNames, peerOf } from "../naming";
import type { Settings } from "../settings-rules";
import { postgresqlConf, settingsReadAtStart } from "./configuration/postgresql-conf";
import { docker } from "./docker-cli";

type Labels = Readonly<Record<string, string>>;

/** Labels of a node's container: every setting that only a restart brings, so that a change of one replaces it. */
export function restartLabels(settings: Settings): Labels {
  return Object.fromEntries(
    settingsReadAtStart(postgresqlConf(settings)).map(({ name, value }) => [
      `postgresql.${name}`,
      // The name once more: a preview shows of a changed label only the value.
      `${name} = ${value}`,
    ]),
  );
}

/** A node's container as the engine has it. */
export interface FoundNode {
  /** Docker's word: `running`, `exited`, … */
  readonly state: string;
  readonly labels: Labels;
}

/**
 * What the person who looks at a preview must know of the servers: which `up` will restart and why, and which it will
 * leave stopped, because pulumi does not see that. `found` by container name, the primary first.
 */
export function restartNotices(found: Readonly<Record<string, FoundNode>>, settings: Settings): readonly string[] {
  const planned = restartLabels(settings);
  const changed = Object.entries(found).map(([container, { labels }]) => ({
    container,
    changes: [...new Set([...Object.keys(labels), ...Object.keys(planned)])]
      .filter((label) => label.startsWith("postgresql.") && labels[label] !== planned[label])
      .map((label) => `${label.slice("postgresql.".length)} = ${valueOf(labels[label])} → ${valueOf(planned[label])}`),
  }));
  const restarted = changed.filter(({ changes }) => changes.length > 0);
  const changes = [...new Set(restarted.flatMap((node) => node.changes))].sort();
  return [
    ...(restarted.length === 0
      ? []
      : [`up restarts ${restarted.map(({ container }) => container).join(", then ")}: ${changes.join(", ")}`]),
    ...changed.flatMap(({ container, changes: own }) => {
      const state = found[container]?.state;
      if (state === "running" || own.length > 0) return [];
      return [
        `${container} is ${state ?? "unknown"}, which up does not change: docker ${state === "restarting" ? "logs" : "start"} ${container}`,
      ];
    }),
  ];
}

function valueOf(label: string | undefined): string {
  return label?.replace(/^\S+ = /, "") ?? "default";
}

/** The nodes' containers, by name, the primary first. */
export function findNodes(settings: Settings, dockerHost: string | undefined): Readonly<Record<string, FoundNode>> {
  const names = dockerNames(settings.namePrefix);
  const format = '{"state": {{json .State.Status}}, "labels": {{json .Config.Labels}}}';
  const found = [settings.primaryNode, peerOf(settings.primaryNode)].flatMap((node) => {
    const { container } = names[node];
    const { status, stdout } = docker(["inspect", "--type", "container", "--format", format, container], {
      host: dockerHost,
    });
    return status === 0 ? [[container, JSON.parse(stdout) as FoundNode] as const] : [];
  });
  return Object.fromEntries(found);
}
