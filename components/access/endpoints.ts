import { dockerNames, peerOf, type NodeName } from "../naming";
import { database, type Settings } from "../settings-rules";
import type { Tier } from "../../services/service";

/** Host and port a program connects to. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** One server as programs on the Docker host see it, and as containers on the private network do. */
export interface Endpoint {
  readonly host: Address;
  readonly network: Address;
}

/** Where reads and writes go (the primary), and where reads may go (the standby). */
export interface Endpoints {
  readonly database: string;
  readonly rw: Endpoint;
  readonly ro: Endpoint;
}

/** How one role of a service connects. Every text is escaped for a URL. */
export interface Connection extends Address {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** To the primary. */
  readonly url: string;
  /**
   * Both servers, of which the driver takes the right one (libpq, pgx, JDBC; not Node's URL class): the primary, and for
   * the tier user the standby while there is one.
   */
  readonly multiHostUrl: string;
  /** The same for a container on the private network. */
  readonly network: Address & { readonly url: string; readonly multiHostUrl: string };
}

/** The endpoints under these settings. */
export function endpointsOf(settings: Settings): Endpoints {
  const names = dockerNames(settings.namePrefix);
  const host = settings.bindAddress === "0.0.0.0" ? "127.0.0.1" : settings.bindAddress;
  const endpoint = (node: NodeName): Endpoint => ({
    host: { host, port: settings[`${node}Port`] },
    network: { host: names[node].container, port: 5432 },
  });
  return { database, rw: endpoint(settings.primaryNode), ro: endpoint(peerOf(settings.primaryNode)) };
}

export function connectionOf(user: string, tier: Tier, password: string, { database, rw, ro }: Endpoints): Connection {
  const urls = (from: "host" | "network") => ({
    url: url(user, password, [rw[from]], database, ""),
    multiHostUrl: url(
      user,
      password,
      [rw[from], ro[from]],
      database,
      `?target_session_attrs=${tier === "user" ? "prefer-standby" : "read-write"}`,
    ),
  });
  return { ...rw.host, database, user, password, ...urls("host"), network: { ...rw.network, ...urls("network") } };
}

function url(user: string, password: string, at: readonly Address[], database: string, query: string): string {
  const hosts = at.map(({ host, port }) => `${host}:${port}`).join(",");
  return `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${hosts}/${encodeURIComponent(database)}${query}`;
}
