import { serviceConnections } from "./components/access/connections";
import { endpointsOf } from "./components/access/endpoints";
import { PlatformRoles } from "./components/access/platform-roles";
import { PlatformSql } from "./components/access/platform-sql";
import { serverProvider } from "./components/access/server-provider";
import { ServiceDatabase } from "./components/access/service-database";
import { ServiceReads } from "./components/access/service-reads";
import { renderFoundation, renderTiers } from "./components/access/sql";
import { Cluster } from "./components/cluster/cluster";
import { Node } from "./components/cluster/node";
import { peerOf } from "./components/naming";
import { compareWithServers, planOrRefuse, readDockerHost, readSettings } from "./components/settings";
import { services } from "./services/registry";

const settings = readSettings();
const dockerHost = readDockerHost();
const plan = planOrRefuse(services, settings);
compareWithServers(settings, dockerHost);

const { protect, primaryNode } = settings;
const cluster = new Cluster("cluster", { settings, dockerHost });
const { passwords } = cluster;
const volume = cluster.volumes[primaryNode];
const nodeArgs = { cluster, settings, dockerHost };
const primary = new Node(primaryNode, { ...nodeArgs, node: primaryNode }, { dependsOn: cluster });

const login = { settings, password: passwords.superuser };
const foundation = new PlatformSql("foundation", { sql: renderFoundation(plan), ...login }, { dependsOn: primary });
const server = serverProvider("server", settings, passwords.superuser, primary);
const onServer = { providers: { postgresql: server }, dependsOn: foundation };

const roles = new PlatformRoles("platform", { plan, passwords, protect, volume }, onServer);
new Node(peerOf(primaryNode), { ...nodeArgs, node: peerOf(primaryNode) }, { dependsOn: [cluster, roles] });

const databases = plan.services.map(
  (service) => new ServiceDatabase(service.name, { plan, service, protect, volume }, onServer),
);
new ServiceReads("reads", { plan, databases, volume }, { providers: { postgresql: server } });
new PlatformSql("tiers", { sql: renderTiers(plan), ...login }, { dependsOn: [roles, ...databases] });

/** Where reads and writes go, for programs on the Docker host and for containers on the network. */
export const endpoints = endpointsOf(settings);

/** Secret: how each service's roles connect, by service name and tier. */
export const connections = serviceConnections(databases, endpoints);

/** Secret: the superuser's password, for operators. */
export const superuserPassword = passwords.superuser;
