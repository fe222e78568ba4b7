import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { dockerNames } from "../naming";
import { database } from "../settings-rules";

export interface ClusterArgs {
  readonly namePrefix: string;
  readonly image: string;
  readonly bindAddress: string;
  readonly primaryPort: number;
  readonly maxConnections: number;
  /** Volumes and passwords are protected and outlive a destroy. */
  readonly protect: boolean;
}

/** Where PostgreSQL is reached, and as whom the platform does its work. Whoever logs in depends on the cluster. */
export interface ServerEndpoint {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly superuser: string;
  readonly superuserPassword: pulumi.Output<string>;
}

/** The image declares this folder a VOLUME: any other mount path would leave the data in an anonymous volume. */
const dataMount = "/var/lib/postgresql/data";
const passwordFile = "/run/secrets/postgres-password";

/** A primary on Docker with its network and volume. */
export class Cluster extends pulumi.ComponentResource {
  readonly endpoint: ServerEndpoint;
  readonly volume: docker.Volume;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:cluster:Cluster", name, {}, opts);
    const names = dockerNames(args.namePrefix);
    const keep = { parent: this, protect: args.protect, retainOnDelete: args.protect };

    const network = new docker.Network(`${name}-network`, { name: names.network }, { parent: this });
    // keepLocally: the engine may have other users of the image.
    const image = new docker.RemoteImage(`${name}-image`, { name: args.image, keepLocally: true }, { parent: this });
    const password = new random.RandomPassword(`${name}-superuser-password`, { length: 32, special: false }, keep);
    // Every input of a volume replaces it, labels too, and a replaced volume is an empty one.
    this.volume = new docker.Volume(
      `${name}-primary-data`,
      { name: names.primaryVolume },
      { ...keep, ignoreChanges: ["labels", "driver", "driverOpts"] },
    );
    new docker.Container(
      `${name}-primary`,
      {
        name: names.primary,
        image: image.imageId,
        command: ["postgres", "-c", `max_connections=${args.maxConnections}`, "-c", "authentication_timeout=10s"],
        envs: [
          `PGDATA=${dataMount}/pgdata`,
          `POSTGRES_DB=${database}`,
          `POSTGRES_PASSWORD_FILE=${passwordFile}`,
          "POSTGRES_INITDB_ARGS=--data-checksums --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256",
        ],
        // The entrypoint reads it as root.
        uploads: [{ file: passwordFile, content: password.result, permissions: "0600" }],
        volumes: [{ volumeName: this.volume.name, containerPath: dataMount }],
        networksAdvanced: [{ name: network.name, aliases: [names.primary] }],
        ports: [{ internal: 5432, external: args.primaryPort, ip: args.bindAddress }],
        restart: "unless-stopped",
        shmSize: 256,
        logDriver: "json-file",
        logOpts: { "max-size": "20m", "max-file": "5" },
        // Over TCP: the socket answers already while the image sets up its data directory.
        healthcheck: {
          tests: ["CMD", "pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres", `--dbname=${database}`],
          interval: "1s",
          timeout: "5s",
          retries: 30,
          startPeriod: "10m0s", // as Docker spells it: "600s" would be a difference at every preview
        },
        wait: true,
        // Recovery after a crash may take minutes; a shorter wait would make the next `up` replace the container.
        waitTimeout: 600,
        // Without it a replaced container is killed, which is a crash to PostgreSQL.
        destroyGraceSeconds: 60,
      },
      { parent: this, deleteBeforeReplace: true, replaceOnChanges: ["healthcheck"] },
    );

    this.endpoint = {
      host: args.bindAddress === "0.0.0.0" ? "127.0.0.1" : args.bindAddress,
      port: args.primaryPort,
      database,
      superuser: "postgres",
      superuserPassword: password.result,
    };
    this.registerOutputs({ endpoint: this.endpoint, volume: this.volume });
  }
}
