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
  /** `verify-full` where the servers want it; the authority is the output `caCertificate`. */
  readonly sslmode: "verify-full" | "prefer";
  readonly rw: Endpoint;
  readonly ro: Endpoint;
}

/** How one role of a service connects. Every text is escaped for a URL. */
export interface Connection extends Address {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly sslmode: Endpoints["sslmode"];
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
  return {
    database,
    sslmode: settings.tls === "required" ? "verify-full" : "prefer",
    rw: endpoint(settings.primaryNode),
    ro: endpoint(peerOf(settings.primaryNode)),
  };
}

export function connectionOf(
  user: string,
  tier: Tier,
  password: string,
  { database, sslmode, rw, ro }: Endpoints,
): Connection {
  // `prefer` is what libpq does without being told, and not every driver knows the word.
  const tls: Query = sslmode === "prefer" ? {} : { sslmode };
  const attributes: Query = { target_session_attrs: tier === "user" ? "prefer-standby" : "read-write", ...tls };
  const urls = (from: "host" | "network") => ({
    url: url(user, password, [rw[from]], database, tls),
    multiHostUrl: url(user, password, [rw[from], ro[from]], database, attributes),
  });
  return {
    ...rw.host,
    ...{ database, user, password, sslmode },
    ...urls("host"),
    network: { ...rw.network, ...urls("network") },
  };
}

/** Parameters of a URL. */
type Query = Readonly<Record<string, string>>;

function url(user: string, password: string, at: readonly Address[], database: string, parameters: Query): string {
  const hosts = at.map(({ host, port }) => `${host}:${port}`).join(",");
  const query = Object.entries(parameters).map(([name, value]) => `${name}=${inUrl(value)}`);
  const path = `${hosts}/${inUrl(database)}${query.length === 0 ? "" : `?${query.join("&")}`}`;
  return `postgresql://${inUrl(user)}:${inUrl(password)}@${path}`;
}

/** A text as part of a URL, which may then stand in single quotes. */
export function inUrl(text: string): string {
  return encodeURIComponent(text).replaceAll("'", "%27");
}
