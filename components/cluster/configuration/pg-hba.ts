import { dumpRole, replicationRole, restoreLoginPattern, superuserRole } from "../../access/plan-items";
import { database, type Settings } from "../../settings-rules";

/** One line of pg_hba.conf. */
interface HostRule {
  /** `hostssl`: in every stack; `host`: encrypted where the stack requires it, except on loopback. */
  readonly type: "local" | "host" | "hostssl";
  readonly database: string;
  readonly user: string;
  /** `""` for the socket. */
  readonly address: string;
  readonly method: string;
  readonly reason: string;
}

/** Operating system users of the container that may be any role: whoever runs `docker exec` is one of them. */
export const trustedSystemUsers = ["root", "postgres"] as const;

const operators = "peer map=operators";

const onSocket: HostRule = {
  type: "local",
  database: "all",
  user: "all",
  address: "",
  method: operators,
  reason: "docker exec … psql -U app: the system user is asked, see pg_ident.conf",
};

/** First match decides. Nobody is trusted, not even on 127.0.0.1: the healthcheck needs no login. */
const rules: readonly HostRule[] = [
  onSocket,
  {
    type: "local",
    database: "replication",
    user: replicationRole,
    address: "",
    method: operators,
    reason: "docker exec … pg_basebackup -U repl",
  },
  {
    type: "host",
    database: "all",
    user: `/${restoreLoginPattern}`,
    address: "all",
    method: "reject",
    reason: "the login of a restore, which code of a service may have given a password",
  },
  {
    type: "hostssl",
    database: "replication",
    user: replicationRole,
    address: "samenet",
    method: "scram-sha-256",
    reason: "the other node; from outside nobody but this machine, whose connections come from the network's gateway",
  },
  {
    type: "host",
    database: "all",
    user: replicationRole,
    address: "all",
    method: "reject",
    reason: "replicates and does nothing else",
  },
  {
    type: "host",
    database: "all",
    user: dumpRole,
    address: "samenet",
    method: "scram-sha-256",
    reason: "backup and monitoring beside the nodes",
  },
  {
    type: "host",
    database: `postgres,/^${database}_`,
    user: superuserRole,
    address: "all",
    method: "scram-sha-256",
    reason: "npm run ops -- restore, which restores into a database beside the services'",
  },
  {
    type: "host",
    database,
    user: "all",
    address: "all",
    method: "scram-sha-256",
    reason: "the services and pulumi up; no other database",
  },
];

/**
 * Of a server that is restored to a point in time, and has the passwords and the rights of then: services are let in when it is the
 * primary, with those of today. Until then it is for operators.
 */
const lookRules: readonly HostRule[] = [
  onSocket,
  {
    type: "hostssl",
    database,
    user: `${superuserRole},${dumpRole}`,
    address: "all",
    method: "scram-sha-256",
    reason: "an operator who looks at it, with the password of then",
  },
];

const written = "# Written from components/cluster/configuration/pg-hba.ts.";

/** pg_hba.conf's text for a server that is only looked at. */
export function renderLookHba(): string {
  return [written, ...lookRules.map(renderRule), ""].join("\n");
}

function renderRule({ type, database: to, user, address, method, reason }: HostRule): string {
  return `${[type, to, user, address, method].filter((word) => word !== "").join(" ")}  # ${reason}`;
}

/**
 * pg_hba.conf's text.
 * @param frozen roles of frozen services: they are refused before the server looks into a catalog, whatever they do to its catalogs
 */
export function renderPgHba({ tls }: Pick<Settings, "tls">, frozen: readonly string[]): string {
  const shutOut: HostRule = {
    type: "host",
    database: "all",
    user: frozen.join(","),
    address: "all",
    method: "reject",
    reason: "frozen services",
  };
  const lines = [...(frozen.length === 0 ? [] : [shutOut]), ...rules]
    .flatMap((rule) =>
      tls === "required" && rule.type === "host" && rule.method !== "reject" ? encrypted(rule) : [rule],
    )
    .map(renderRule);
  return [written, ...lines, ""].join("\n");
}

/** What shares a container's network is as near as its socket. */
function encrypted(rule: HostRule): HostRule[] {
  const loopback = ["127.0.0.1/32", "::1/128"].map((address) => ({ ...rule, address, reason: "inside the container" }));
  return [{ ...rule, type: "hostssl" }, ...loopback];
}

/** pg_ident.conf's text. */
export function renderPgIdent(): string {
  const lines = trustedSystemUsers.map((user) => `operators ${user} all`);
  return [written, ...lines, ""].join("\n");
}
