import * as postgresql from "@pulumi/postgresql";
import { serviceUrls } from "./components/access/urls";
import { PlatformSql } from "./components/access/platform-sql";
import { renderFoundation, renderTiers } from "./components/access/sql";
import { ServiceDatabase } from "./components/access/service-database";
import { ServiceReads } from "./components/access/service-reads";
import { Cluster } from "./components/cluster/cluster";
import { planOrRefuse, readSettings } from "./components/settings";
import { services } from "./services/registry";

const settings = readSettings();
const plan = planOrRefuse(services, settings);

const cluster = new Cluster("cluster", settings);
const { endpoint, volume } = cluster;

const foundation = new PlatformSql("foundation", { sql: renderFoundation(plan), endpoint }, { dependsOn: cluster });

const server = new postgresql.Provider(
  "server",
  {
    host: endpoint.host,
    port: endpoint.port,
    username: endpoint.superuser,
    password: endpoint.superuserPassword,
    database: endpoint.database,
    sslmode: "disable",
    maxConnections: 5, // of those the connection budget keeps for operators
    expectedVersion: "16.0.0",
  },
  // The provider neither waits nor tries again: it logs in when the primary is healthy.
  { dependsOn: cluster },
);

const databases = plan.services.map(
  (service) =>
    new ServiceDatabase(
      service.name,
      { plan, service, protect: settings.protect, volume },
      { providers: { postgresql: server }, dependsOn: foundation },
    ),
);

new ServiceReads("reads", { plan, databases, volume }, { providers: { postgresql: server } });

new PlatformSql("tiers", { sql: renderTiers(plan), endpoint }, { dependsOn: databases });

/** Where the primary listens. */
export const primary = `${endpoint.host}:${endpoint.port}/${endpoint.database}`;

/** Secret: connection URL by service and tier. */
export const urls = serviceUrls(databases, endpoint);

/** Secret: the superuser's password, for operators. */
export const superuserPassword = endpoint.superuserPassword;
