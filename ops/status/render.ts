import { dumpRole, replicationRole, superuserRole } from "../../components/access/plan-items";
import { printable } from "../../services/printable";
import { resolveService, tierRole, tiers, withoutRetired, type Service } from "../../services/service";
import type { Stack } from "../stack-file";
import { table } from "../table";
import type { NodeStatus, ServerStatus } from "./collect";
import { bytes, daysUntil, since } from "./format";

export interface StatusScreen {
  readonly nodes: readonly NodeStatus[];
  readonly services: readonly Service[];
  readonly stack: Stack;
  readonly problems: readonly string[];
  /** Further rows of the last table. */
  readonly more: readonly (readonly string[])[];
}

/** One screen for a person. */
export function renderStatus({ nodes, services, stack, problems, more }: StatusScreen): string {
  const primary = nodes.find(({ server }) => server?.role === "primary")?.server;
  const nodeRows = nodes.map(({ node, container, state, restarts, published, server, certificates }) => {
    const streamed = primary?.standbys.find(({ name }) => name === container);
    return [
      node,
      container,
      state,
      server?.role ?? "?",
      published,
      server === undefined ? "" : since(server.startedAt),
      String(restarts),
      streamed === undefined ? "" : `${bytes(streamed.lagBytes ?? 0)}, ${streamed.lagSeconds.toFixed(1)} s`,
      certificates === undefined ? "" : `${daysUntil(certificates.server)} d`,
    ];
  });
  return [
    `stack ${stack.name}${primary === undefined ? "" : `, PostgreSQL ${primary.version}`}`,
    "",
    table([
      ["node", "container", "state", "role", "listens on", "up for", "restarts", "lag", "certificate"],
      ...nodeRows,
    ]),
    "",
    ...(problems.length === 0
      ? ["All is well."]
      : [`${problems.length} to look at:`, ...problems.map((problem) => `  ${printable(problem)}`)]),
    ...(primary === undefined ? [] : ["", ...serviceLines(nodes, services, more)]),
  ].join("\n");
}

function serviceLines(
  nodes: readonly NodeStatus[],
  services: readonly Service[],
  more: StatusScreen["more"],
): string[] {
  const servers = nodes.flatMap(({ server }) => server ?? []);
  const files = nodes.find(({ server }) => server?.role === "primary")?.files;
  const primary = servers.find(({ role }) => role === "primary");
  if (primary === undefined) return [];
  const used = (role: string) =>
    servers
      .flatMap(({ connections }) => connections)
      .filter((connection) => connection.role === role)
      .reduce((sum, connection) => sum + connection.used, 0);
  const rows = withoutRetired(services).map((service) => {
    const { name, code, connectionLimits, lifecycle } = resolveService(service);
    const isThere = primary.schemas.some((schema) => schema.name === code);
    const size = files?.schemas[code];
    return [
      lifecycle === "frozen" ? `${name} (frozen)` : name,
      code,
      ...tiers.map((tier) => `${used(tierRole(code, tier))} of ${connectionLimits[tier]}`),
      !isThere ? "no schema" : size === undefined ? "?" : bytes(size),
      passwordAge(
        primary,
        tiers.map((tier) => tierRole(code, tier)),
      ),
    ];
  });
  const total = primary.connections.reduce((sum, connection) => sum + connection.used, 0);
  const slots = primary.slots.map(
    ({ name, active, walStatus }) => `${name} ${active ? "active" : "inactive"}, ${walStatus ?? "no WAL"}`,
  );
  return [
    table([["service", "schema", ...tiers.map((tier) => `${tier} connections`), "size", "oldest password"], ...rows]),
    "",
    table([
      ["connections", `${total} of ${primary.maxConnections} on the primary`],
      ["database", bytes(primary.databaseBytes)],
      [
        "catalogs",
        files === undefined ? "?" : `${bytes(files.catalogs)} of it: names, comments and definitions of all`,
      ],
      ["WAL", bytes(primary.walBytes)],
      ["passwords", platformLogins.map((role) => `${role} ${passwordAge(primary, [role])}`).join(", ")],
      ["slots", slots.length === 0 ? "none" : slots.join("; ")],
      ...more,
    ]),
  ];
}

const platformLogins: readonly string[] = [superuserRole, dumpRole, replicationRole];

/** Of the oldest among the roles; `?` where none was noted. */
function passwordAge({ passwords }: ServerStatus, roles: readonly string[]): string {
  const times = passwords.filter(({ role }) => roles.includes(role)).map(({ since: start }) => start);
  const [oldest] = times.sort();
  return oldest === undefined ? "?" : since(oldest);
}
