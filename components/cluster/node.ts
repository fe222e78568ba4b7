import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { peerOf, type NodeName } from "../naming";
import type { Settings } from "../settings-rules";
import type { Cluster } from "./cluster";
import { dockerVariables } from "./docker-cli";
import { limitsOf } from "./limits";
import { generationLabel, stackLabel, stateLabel } from "./labels";
import { nodeScript, nodeScriptText } from "./node-script";
import { restartLabels } from "./restart-notice";

export interface NodeArgs {
  readonly node: NodeName;
  readonly cluster: Cluster;
  readonly settings: Settings;
  /** `DOCKER_HOST` for the jobs beside the provider; undefined where the environment says it. */
  readonly dockerHost: string | undefined;
  /** By node, a label of its container: another value than last time makes it anew. */
  readonly generations: Readonly<Record<NodeName, number>>;
}

/** The image declares this folder a VOLUME: any other mount path would leave the data in an anonymous volume. */
const dataMount = "/var/lib/postgresql/data";
const stopSeconds = 300;
const configMount = "/etc/centraldb";

/** One PostgreSQL server. Whether it is primary or standby its data say: nothing here depends on it. */
export class Node extends pulumi.ComponentResource {
  /** Known when the server accepts connections. */
  readonly ready: pulumi.Output<string>;

  constructor(name: string, args: NodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:cluster:Node", name, {}, opts);
    const { node, cluster, settings, dockerHost } = args;
    const generation = args.generations[node];
    const names = cluster.names[node];
    const limits = limitsOf(settings.memoryMiB);

    const container = new docker.Container(
      `${name}-container`,
      {
        name: names.container,
        image: cluster.image.imageId,
        entrypoints: ["bash", nodeScript],
        uploads: [{ file: nodeScript, content: nodeScriptText, executable: true }],
        user: "postgres",
        envs: [
          `CONFIG=${configMount}`,
          `NODE=${names.container}`,
          `PEER=${cluster.names[peerOf(node)].container}`,
          `PGDATA=${dataMount}/pgdata`,
          "PGHOST=/var/run/postgresql",
          `PROCESS_KIB=${limits.processKiB}`,
          `SLOT=${names.slot}`,
        ],
        volumes: [
          { volumeName: cluster.volumes[node].name, containerPath: dataMount },
          { volumeName: cluster.configVolume.name, containerPath: configMount, readOnly: true },
        ],
        networksAdvanced: [{ name: cluster.network.name, aliases: [names.container] }],
        ports: [{ internal: 5432, external: settings[`${node}Port`], ip: settings.bindAddress }],
        // In the order in which the provider reads them: a preview pairs them by place.
        labels: Object.entries({
          ...restartLabels(settings, node),
          [stackLabel]: pulumi.getStack(),
          [stateLabel]: cluster.identity,
          ...(generation > 0 ? { [generationLabel]: String(generation) } : {}),
        })
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([label, value]) => ({ label, value })),
        memory: limits.memoryMiB,
        memorySwap: limits.memoryMiB,
        shmSize: limits.sharedMemoryMiB,
        restart: "unless-stopped",
        logDriver: "json-file",
        logOpts: { "max-size": "20m", "max-file": "5" },
        healthcheck: {
          tests: ["CMD", "bash", nodeScript, "check"],
          interval: "10s",
          timeout: "15s", // it may wait for a peer that does not answer
          retries: 3,
          startPeriod: "10m0s", // as Docker spells it: "600s" would be a difference at every preview
        },
        stopSignal: "SIGINT", // PostgreSQL's fast shutdown
        // Before Docker kills it, which is a crash to PostgreSQL: the shutdown's checkpoint writes what is dirty of the
        // shared buffers. The first is docker's (stop, restart, the engine's own end), the second the provider's.
        stopTimeout: stopSeconds,
        destroyGraceSeconds: stopSeconds,
        wait: false, // the job below does it
      },
      { parent: this, deleteBeforeReplace: true, replaceOnChanges: ["healthcheck"], dependsOn: opts?.dependsOn ?? [] },
    );
    const ready = new command.local.Command(
      `${name}-ready`,
      {
        create: "node --import tsx components/cluster/jobs/ready.ts",
        environment: {
          CONTAINER: container.name,
          PEER: cluster.names[peerOf(node)].container,
          ...dockerVariables(dockerHost),
        },
        triggers: [container.id],
      },
      { parent: this },
    );
    this.ready = ready.id;
    this.registerOutputs({ container: container.name });
  }
}
