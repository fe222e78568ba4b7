import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { drillFolder } from "../../agent/drills/results";
import type { Cluster } from "../cluster/cluster";
import { stackLabel } from "../cluster/labels";
import { agentContainer } from "./agent-container";

export interface DrillArgs {
  readonly cluster: Cluster;
  /** The agent's, as it was built. */
  readonly image: pulumi.Input<string>;
  /** The backups', and where they are in it. */
  readonly backups: { readonly volume: docker.Volume; readonly mount: string };
  /** See NodeArgs.generations. */
  readonly generation: number;
}

const stopSeconds = 30;

/**
 * The container that restores the newest backups each week and compares them. Code of all services runs in it: it has no network, no
 * capability and no volume with a password, and reads the backups only.
 */
export class Drill extends pulumi.ComponentResource {
  /** Throwaway servers while there are some, and what each drill has found. */
  readonly volume: docker.Volume;

  constructor(name: string, args: DrillArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:backup:Drill", name, {}, opts);
    const { cluster, image, backups, generation } = args;
    const names = cluster.names.drill;

    this.volume = new docker.Volume(
      `${name}-volume`,
      { name: names.volume, labels: [{ label: stackLabel, value: pulumi.getStack() }] },
      { parent: this, ignoreChanges: ["labels", "driver", "driverOpts"] },
    );
    const container = new docker.Container(
      `${name}-container`,
      {
        ...agentContainer({
          commands: { serve: ["drill", "serve"], health: ["drill", "health"] },
          ...{ generation, identity: cluster.identity, stopSeconds },
        }),
        name: names.container,
        image,
        volumes: [
          { volumeName: backups.volume.name, containerPath: backups.mount, readOnly: true },
          { volumeName: this.volume.name, containerPath: drillFolder },
        ],
        networkMode: "none",
        capabilities: { drops: ["ALL"] },
        securityOpts: ["no-new-privileges"],
        // What a server that was ended leaves is nobody's child.
        init: true,
        // The servers come first.
        cpuShares: 256,
      },
      {
        parent: this,
        deleteBeforeReplace: true,
        replaceOnChanges: ["healthcheck", "init"],
        dependsOn: opts?.dependsOn ?? [],
      },
    );
    this.registerOutputs({ container: container.name });
  }
}
