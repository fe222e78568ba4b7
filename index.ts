import { adoptRoles } from "./components/access/adopt-roles";
import { serviceConnections } from "./components/access/connections";
import { endpointsOf } from "./components/access/endpoints";
import { LoginCheck } from "./components/access/login-check";
import { Passwords } from "./components/access/passwords";
import { frozenRoles, superuserRole } from "./components/access/plan-items";
import { PlatformLogins } from "./components/access/platform-logins";
import { PlatformSql } from "./components/access/platform-sql";
import { serverProvider } from "./components/access/server-provider";
import { ServiceDatabase } from "./components/access/service-database";
import { declareReads } from "./components/access/service-reads";
import { renderFoundation, renderTiers } from "./components/access/sql";
import { Backup } from "./components/backup/backup";
import { Certificates } from "./components/cluster/certificates";
import { Cluster } from "./components/cluster/cluster";
import { Node } from "./components/cluster/node";
import { examine } from "./components/lifecycle/examine";
import { Keeper } from "./components/lifecycle/keeper";
import { peerOf } from "./components/naming";
import { planOrRefuse, readDockerHost, readSettings } from "./components/settings";
import { services } from "./services/registry";

/** The platform. Returns the stack's outputs. */
export = async (): Promise<Record<string, unknown>> => {
  const settings = readSettings();
  const dockerHost = readDockerHost();
  const plan = planOrRefuse(services, settings);
  const { state, adoptNetwork, generations } = await examine(plan, settings, dockerHost);

  const { protect, primaryNode } = settings;
  const onSocket = { plan, settings, dockerHost };
  const passwords = new Passwords("passwords", { plan, rotation: settings.passwordRotation });
  const certificates = new Certificates("certificates", settings);
  const cluster = new Cluster("cluster", { ...onSocket, passwords, certificates, adoptNetwork });
  const nodeArgs = { cluster, settings, dockerHost, generations };
  const primary = new Node(primaryNode, { ...nodeArgs, node: primaryNode }, { dependsOn: cluster });
  const logins = new PlatformLogins("logins", { ...onSocket, passwords }, { dependsOn: primary });
  const standby = { ...nodeArgs, node: peerOf(primaryNode) };
  const replica = new Node(standby.node, standby, { dependsOn: [cluster, logins] });

  const sqlTo = { settings, password: passwords.of(superuserRole), certificates };
  const foundation = new PlatformSql("foundation", { sql: renderFoundation(plan), ...sqlTo }, { dependsOn: logins });
  const server = serverProvider("server", { ...sqlTo, dependsOn: logins });
  const onServer = { providers: { postgresql: server }, dependsOn: foundation };
  const adopted = await adoptRoles({ ...onSocket, state, ready: logins.done });
  const ofDatabase = { plan, passwords, adopted, protect, volume: cluster.volumes[primaryNode] };
  const databases = plan.services.map(
    (service) => new ServiceDatabase(service.name, { ...ofDatabase, service }, onServer),
  );
  const tiersSql = { ...sqlTo, sql: renderTiers(plan), endSessionsOf: frozenRoles(plan) };
  const tiers = new PlatformSql("tiers", tiersSql, { dependsOn: databases });
  const ofReads = { plan, databases, volume: ofDatabase.volume, after: tiers };
  const reads = declareReads("reads", ofReads, { providers: onServer.providers });
  const checked = new LoginCheck("logins-check", { plan, passwords, ...sqlTo }, { dependsOn: tiers });
  const backup = new Backup("backup", { ...nodeArgs, plan }, { dependsOn: tiers });
  const everything = [passwords, certificates, cluster, primary, replica, ...reads, tiers, checked, backup];
  new Keeper("keeper", settings, { dependsOn: everything });

  const endpoints = endpointsOf(settings);
  return {
    endpoints, // where reads and writes go
    connections: serviceConnections(databases, endpoints), // secret
    caCertificate: certificates.authority, // what verifies the servers
    superuserPassword: sqlTo.password, // for operators; secret
  };
};
