import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { drillFolder } from "../../agent/drills/results";
import type { AgentSettings } from "../../agent/settings";
import type { Plan } from "../access/plan-items";
import type { Cluster } from "../cluster/cluster";
import { dockerVariables } from "../cluster/docker-cli";
import { stackLabel } from "../cluster/labels";
import { nodeNames, type ContainerKey } from "../naming";
import type { Settings } from "../settings-rules";
import { rcloneConfigFile } from "./agent-file";
import { agentContainer } from "./agent-container";
import { Drill } from "./drill";
import { buildContext, contextHash } from "./image";
import { remoteOf } from "./settings-rules";

export interface BackupArgs {
  readonly plan: Plan;
  readonly cluster: Cluster;
  readonly settings: Settings;
  /** `DOCKER_HOST` for the jobs beside the provider; undefined where the environment says it. */
  readonly dockerHost: string | undefined;
  /** As of a node. */
  readonly generations: Readonly<Record<ContainerKey, number>>;
}

const storeMount = "/backups";
const configMount = "/etc/centraldb";
/** Where the container has the folder of a second copy. */
const copyMount = "/copy";
const stopSeconds = 60;

/** The container that makes the backups and proves them, the volume they are in, and the container that restores them each week. */
export class Backup extends pulumi.ComponentResource {
  constructor(name: string, args: BackupArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:backup:Backup", name, {}, opts);
    const { plan, cluster, settings, dockerHost } = args;
    const names = cluster.names.backup;
    const parent = { parent: this };

    // As a data volume: every input replaces it, and a replaced one is empty.
    const volume = new docker.Volume(
      `${name}-volume`,
      { name: names.volume, labels: [{ label: stackLabel, value: pulumi.getStack() }] },
      {
        ...parent,
        protect: settings.protect,
        retainOnDelete: settings.protect,
        ignoreChanges: ["labels", "driver", "driverOpts"],
      },
    );
    const copy = settings.backupCopy;
    const isFolder = copy.startsWith("/");
    const images = [settings.backupNodeImage, ...(copy === "" ? [] : [settings.backupRcloneImage])];
    const hash = cluster.image.imageId.apply((image) => contextHash(buildContext(), image, ...images));
    const tag = pulumi.interpolate`${names.container}:${hash}`;
    const image = new command.local.Command(
      `${name}-image`,
      {
        create: "node --import tsx components/backup/jobs/build-image.ts",
        environment: {
          IMAGE: cluster.image.imageId,
          NODE_IMAGE: settings.backupNodeImage,
          ...(copy === "" ? {} : { RCLONE_IMAGE: settings.backupRcloneImage }),
          TAG: tag,
          ...dockerVariables(dockerHost),
        },
      },
      parent,
    );
    const built = pulumi.all([tag, image.id]).apply(([made]) => made);
    const drill = new Drill(
      `${name}-drill`,
      { cluster, image: built, backups: { volume, mount: storeMount }, generation: args.generations.drill },
      { ...parent, dependsOn: opts?.dependsOn ?? [] },
    );
    const container = new docker.Container(
      `${name}-container`,
      {
        ...agentContainer({
          commands: { serve: ["serve"], health: ["health"] },
          ...{ generation: args.generations.backup, identity: cluster.identity, stopSeconds },
        }),
        name: names.container,
        image: built,
        volumes: [
          { volumeName: volume.name, containerPath: storeMount },
          { volumeName: cluster.configVolume.name, containerPath: configMount, readOnly: true },
          // What drills have found, for Prometheus and `status`: their own container has no network.
          { volumeName: drill.volume.name, containerPath: drillFolder, readOnly: true },
          ...(isFolder ? [{ hostPath: copy, containerPath: copyMount }] : []),
        ],
        networksAdvanced: [{ name: cluster.network.name, aliases: [names.container] }],
      },
      {
        ...parent,
        deleteBeforeReplace: true,
        replaceOnChanges: ["healthcheck"],
        dependsOn: opts?.dependsOn ?? [],
      },
    );
    // Not in the container's definition: another service, or another number of days, is no reason to interrupt a backup.
    new command.local.Command(
      `${name}-settings`,
      {
        create: "node --import tsx components/backup/jobs/settings.ts",
        stdin: JSON.stringify(agentSettings(plan, cluster, settings)),
        environment: { CONTAINER: container.name, FILE: `${storeMount}/settings.json`, ...dockerVariables(dockerHost) },
        // They are in the volume, or in the container: where that was lost and is made anew, so is the container.
        triggers: [container.id],
      },
      parent,
    );
    if (remoteOf(copy) !== undefined) {
      new command.local.Command(
        `${name}-copy-settings`,
        {
          create: "node --import tsx components/backup/jobs/settings.ts",
          stdin: pulumi.secret(settings.backupCopyConfig),
          environment: { CONTAINER: container.name, FILE: rcloneConfigFile, ...dockerVariables(dockerHost) },
          triggers: [container.id],
        },
        parent,
      );
    }
    this.registerOutputs({ container: container.name });
  }
}

function agentSettings(plan: Plan, cluster: Cluster, settings: Settings): AgentSettings {
  const sha256 = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");
  return {
    timeZone: settings.backupTimeZone,
    retentionDays: settings.backupRetentionDays,
    rateMiB: settings.backupRateMiB === 0 ? null : settings.backupRateMiB,
    dumpMinutes: settings.backupDumpMinutes,
    copy:
      settings.backupCopy === ""
        ? null
        : {
            to: remoteOf(settings.backupCopy) === undefined ? copyMount : settings.backupCopy,
            name: settings.backupCopy,
          },
    database: plan.database,
    nodes: nodeNames.map((node) => cluster.names[node].container),
    slot: cluster.names.backup.slot,
    services: plan.services.map(({ code }) => code),
    roles: plan.roles.map((role) => role.name),
    registry: { services: plan.services, extensions: settings.extensions },
    registrySha256: sha256(JSON.stringify(plan.services)),
    accessSha256: sha256(readFileSync(join(__dirname, "..", "..", "services", "access.json"))),
  };
}
