import { noData, primaryContradiction, type NodeData } from "../../components/cluster/primary-check";
import type { NodeName } from "../../components/naming";
import { resolveService, tierRole, tiers, type Service } from "../../services/service";
import { isStopped } from "../lifecycle/nodes";
import type { Stack } from "../stack-file";
import { table } from "../table";
import type { NodeStatus } from "./collect";

/** What is not as it should be, a sentence each, with what to do; empty when all is well. */
export function problemsOf(nodes: readonly NodeStatus[], stack: Stack): readonly string[] {
  const dataOf = (node: NodeName): NodeData => {
    const role = nodes.find((status) => status.node === node)?.server?.role;
    return role === undefined ? noData : { role, timeline: 0, running: true };
  };
  const othersAnswer = (container: string) =>
    nodes.some((other) => other.container !== container && other.server !== undefined);
  const isStreaming = ({ state }: { readonly state: string }) => state === "streaming";
  const contradiction = primaryContradiction(stack.settings, {
    primary: dataOf("primary"),
    replica: dataOf("replica"),
  });
  return [
    ...nodes.flatMap(({ container, state, error }) =>
      error === undefined
        ? []
        : state === "missing"
          ? [`${container} does not exist: npm run up -- ${stack.name}`]
          : isStopped(state)
            ? [`${container} is ${state}: npm run ops -- start --stack ${stack.name}`]
            : [`${container} does not answer: ${error} (docker logs ${container})`],
    ),
    ...(contradiction === undefined ? [] : [contradiction]),
    ...(nodes.some(({ server }) => server !== undefined) && !nodes.some(({ server }) => server?.role === "primary")
      ? [
          "no primary answers: bring back the node that was it, or promote the standby; see README, When the primary is gone",
        ]
      : []),
    ...nodes.flatMap(({ container, server }) => {
      if (server === undefined) return [];
      const lost = server.slots.filter(({ walStatus }) => walStatus === "lost");
      return [
        ...(server.role === "primary" && othersAnswer(container) && !server.standbys.some(isStreaming)
          ? [`no standby streams from ${container}: its log and the standby's say why`]
          : []),
        ...lost.map(
          ({ name }) => `slot ${name} on ${container} has lost WAL its standby needs: the standby must be copied anew`,
        ),
        ...(server.pendingRestart.length > 0
          ? [`${container} needs a restart for ${server.pendingRestart.join(", ")}: docker restart ${container}`]
          : []),
        ...(server.alteredBySystem.length > 0
          ? [
              `ALTER SYSTEM on ${container} hides what the stack says of ${server.alteredBySystem.join(", ")}: ALTER SYSTEM RESET`,
            ]
          : []),
      ];
    }),
  ];
}

/** One screen for a person. */
export function renderStatus(nodes: readonly NodeStatus[], services: readonly Service[], stack: Stack): string {
  const primary = nodes.find(({ server }) => server?.role === "primary")?.server;
  const problems = problemsOf(nodes, stack);
  const nodeRows = nodes.map(({ node, container, state, restarts, published, server }) => {
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
    ];
  });
  return [
    `stack ${stack.name}${primary === undefined ? "" : `, PostgreSQL ${primary.version}`}`,
    "",
    table([["node", "container", "state", "role", "listens on", "up for", "restarts", "lag"], ...nodeRows]),
    "",
    ...(problems.length === 0
      ? ["All is well."]
      : [`${problems.length} to look at:`, ...problems.map((problem) => `  ${problem}`)]),
    ...(primary === undefined ? [] : ["", ...serviceLines(nodes, services)]),
  ].join("\n");
}

function serviceLines(nodes: readonly NodeStatus[], services: readonly Service[]): string[] {
  const servers = nodes.flatMap(({ server }) => server ?? []);
  const primary = servers.find(({ role }) => role === "primary");
  if (primary === undefined) return [];
  const used = (role: string) =>
    servers
      .flatMap(({ connections }) => connections)
      .filter((connection) => connection.role === role)
      .reduce((sum, connection) => sum + connection.used, 0);
  const rows = services.map((service) => {
    const { name, code, connectionLimits, lifecycle } = resolveService(service);
    const size = primary.schemas.find((schema) => schema.name === code);
    return [
      lifecycle === "frozen" ? `${name} (frozen)` : name,
      code,
      ...tiers.map((tier) => `${used(tierRole(code, tier))} of ${connectionLimits[tier]}`),
      size === undefined ? "no schema" : bytes(size.bytes),
    ];
  });
  const total = primary.connections.reduce((sum, connection) => sum + connection.used, 0);
  const slots = primary.slots.map(
    ({ name, active, walStatus }) => `${name} ${active ? "active" : "inactive"}, ${walStatus ?? "no WAL"}`,
  );
  return [
    table([["service", "schema", ...tiers.map((tier) => `${tier} connections`), "size"], ...rows]),
    "",
    table([
      ["connections", `${total} of ${primary.maxConnections} on the primary`],
      ["database", bytes(primary.databaseBytes)],
      ["WAL", bytes(primary.walBytes)],
      ["slots", slots.length === 0 ? "none" : slots.join("; ")],
    ]),
  ];
}

/** `12 MB`, as PostgreSQL's pg_size_pretty. */
function bytes(value: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"] as const;
  const power = Math.max(
    0,
    units.findLastIndex((_, exponent) => value >= 10 * 1024 ** exponent && exponent > 0),
  );
  return `${Math.round(value / 1024 ** power)} ${units[power] ?? "bytes"}`;
}

/** `3 d 4 h`, `12 min`, `40 s` since a time in ISO 8601. */
function since(start: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(start)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
