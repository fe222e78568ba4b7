import { isIP } from "node:net";
import { dockerNames, type NodeName } from "../../naming";
import type { Settings } from "../../settings-rules";

/** What a client may call a server and have it verified: subject alternative names of its certificate. */
export interface ServerNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

type NamingSettings = Pick<Settings, "namePrefix" | "bindAddress" | "certificateNames">;

/** Loopback, the address it listens on, its name on the private network, and what the stack adds. Pure. */
export function serverNames(settings: NamingSettings, node: NodeName): ServerNames {
  const { container } = dockerNames(settings.namePrefix)[node];
  const names = [container, "localhost", "127.0.0.1", "::1", ...settings.certificateNames];
  // All of them is no address a client connects to.
  if (settings.bindAddress !== "0.0.0.0") names.push(settings.bindAddress);
  const unique = [...new Set(names)];
  return {
    dnsNames: unique.filter((name) => isIP(name) === 0),
    ipAddresses: unique.filter((name) => isIP(name) !== 0),
  };
}
