import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Passwords } from "../access/passwords";
import { dumpRole, frozenRoles, replicationRole, superuserRole, type Plan } from "../access/plan-items";
import { dockerNames, nodeNames, peerOf, type NodeName, type Names } from "../naming";
import { database, type Settings } from "../settings-rules";
import type { Certificates } from "./certificates";
import { renderPgHba, renderPgIdent } from "./configuration/pg-hba";
import { postgresqlConf, renderPostgresqlConf } from "./configuration/postgresql-conf";
import { dockerVariables } from "./docker-cli";
import { identityName, stackLabel } from "./labels";
import { limitsAsOptions, limitsOf } from "./limits";

export interface ClusterArgs {
  readonly settings: Settings;
  /** `DOCKER_HOST` for the jobs beside the provider; undefined where the environment says it. */
  readonly dockerHost: string | undefined;
  readonly plan: Plan;
  readonly passwords: Passwords;
  readonly certificates: Certificates;
  /** Id of the network where it exists and the stack's state does not know it. */
  readonly adoptNetwork: string | undefined;
}

/** What both nodes stand on: network, image, volumes, configuration files, and the first data directory. */
export class Cluster extends pulumi.ComponentResource {
  readonly names: Names;
  readonly network: docker.Network;
  /** Of this state of the stack, see stateLabel. */
  readonly identity: pulumi.Output<string>;
  readonly image: docker.RemoteImage;
  readonly volumes: Readonly<Record<NodeName, docker.Volume>>;
  readonly configVolume: docker.Volume;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:cluster:Cluster", name, {}, opts);
    const { settings, dockerHost, plan, passwords, certificates, adoptNetwork } = args;
    const frozen = frozenRoles(plan);
    this.names = dockerNames(settings.namePrefix);
    const keep = { parent: this, protect: settings.protect, retainOnDelete: settings.protect };
    // Every input of a volume replaces it, labels too, and a replaced volume is an empty one.
    const volume = (key: string, volumeName: string, options: pulumi.CustomResourceOptions) =>
      new docker.Volume(
        `${name}-${key}`,
        { name: volumeName, labels: [{ label: stackLabel, value: pulumi.getStack() }] },
        { ...options, ignoreChanges: ["labels", "driver", "driverOpts"] },
      );

    this.network = new docker.Network(
      `${name}-network`,
      { name: this.names.network },
      { parent: this, ...(adoptNetwork === undefined ? {} : { import: adoptNetwork }) },
    );
    this.identity = new random.RandomUuid(identityName, {}, { parent: this }).result;
    // keepLocally: the engine may have other users of the image.
    this.image = new docker.RemoteImage(`${name}-image`, { name: settings.image, keepLocally: true }, { parent: this });
    this.configVolume = volume("config", this.names.configVolume, { parent: this });
    this.volumes = {
      primary: volume("primary-data", this.names.primary.volume, keep),
      replica: volume("replica-data", this.names.replica.volume, keep),
    };

    new command.local.Command(
      `${name}-configuration`,
      {
        create: "node --import tsx components/cluster/jobs/configure.ts",
        stdin: configurationSecrets(passwords, certificates, this.names),
        // What a preview shows of a changed configuration are the lines that change.
        environment: {
          POSTGRESQL_CONF: renderPostgresqlConf(postgresqlConf(settings)),
          PG_HBA_CONF: renderPgHba(settings, frozen),
          PG_IDENT_CONF: renderPgIdent(),
          IMAGE: this.image.imageId,
          NETWORK: this.network.name,
          CONFIG_VOLUME: this.configVolume.name,
          DATA_VOLUMES: pulumi.interpolate`${this.volumes.primary.name} ${this.volumes.replica.name}`,
          NODES: nodeNames.map((node) => this.names[node].container).join(" "),
          PORTS: nodeNames.map((node) => `${settings.bindAddress}:${settings[`${node}Port`]}`).join(" "),
          MEMORY_MIB: String(settings.memoryMiB),
          ...(frozen.length === 0 ? {} : { END_SESSIONS_OF: frozen.join(" ") }),
          NODE_OPTIONS_TO_CHECK: JSON.stringify(limitsAsOptions(limitsOf(settings.memoryMiB))),
          ...dockerVariables(dockerHost),
        },
      },
      { parent: this },
    );
    // Once: with the data gone a changed input must not make an empty primary in their place.
    new command.local.Command(
      `${name}-seed`,
      {
        create: "node --import tsx components/cluster/jobs/seed.ts",
        update: "true",
        stdin: passwords.of(superuserRole),
        environment: {
          IMAGE: this.image.imageId,
          CONTAINER: this.names[settings.primaryNode].container,
          VOLUME: this.volumes[settings.primaryNode].name,
          PEER_VOLUME: this.volumes[peerOf(settings.primaryNode)].name,
          DATABASE: database,
          ...dockerVariables(dockerHost),
        },
      },
      { parent: this, ignoreChanges: ["create", "update", "stdin", "environment"] },
    );
    // No resource among them: readOwnState would ask the engine for one that is not registered yet.
    this.registerOutputs({ network: this.network.name, configVolume: this.configVolume.name });
  }
}

function configurationSecrets(passwords: Passwords, certificates: Certificates, names: Names): pulumi.Output<string> {
  const pairs = nodeNames.flatMap((node): [string, pulumi.Output<string>][] => [
    [`${names[node].container}.crt`, certificates.of[node].certificate],
    [`${names[node].container}.key`, certificates.of[node].key],
  ]);
  const tls = Object.fromEntries([["authority.crt", certificates.authority], ...pairs]);
  const [replicationPassword, dumpPassword] = [passwords.of(replicationRole), passwords.of(dumpRole)];
  return pulumi.jsonStringify({ replicationPassword, dumpPassword, tls });
}
