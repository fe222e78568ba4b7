import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dumpRole, superuserRole } from "../../components/access/plan-items";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames, nodeNames, type NodeName } from "../../components/naming";
import { database } from "../../components/settings-rules";
import type { Stack } from "../stack-file";

/** What a server says of itself; see server.sql. Sizes in bytes, times in seconds. */
export interface ServerStatus {
  readonly version: string;
  readonly role: "primary" | "standby";
  readonly startedAt: string;
  readonly maxConnections: number;
  /** Client connections of every role that may log in; limit -1 is none. */
  readonly connections: readonly { readonly role: string; readonly used: number; readonly limit: number }[];
  readonly standbys: readonly {
    readonly name: string;
    readonly state: string;
    readonly lagBytes: number | null;
    readonly lagSeconds: number;
  }[];
  /** Of a standby: how old what it replays is, where a session of its own keeps it waiting; else 0. */
  readonly replayWaitSeconds: number;
  readonly slots: readonly { readonly name: string; readonly active: boolean; readonly walStatus: string | null }[];
  readonly databaseBytes: number;
  readonly walBytes: number;
  /** Of the services; `objects`: tables, functions, types and so on, indexes and TOAST tables too. */
  readonly schemas: readonly {
    readonly name: string;
    readonly objects: number;
    readonly materializedViews: number;
  }[];
  /** About how many dependencies what is in a schema has, as a sample tells; of services, where there are millions of them all. */
  readonly dependencies: readonly { readonly schema: string; readonly number: number }[];
  /** Since when a role has its password; not `ours`: somebody has set another one since. */
  readonly passwords: readonly { readonly role: string; readonly since: string; readonly ours: boolean }[];
  /** Of the clients; it holds back VACUUM for all. null where none is open. */
  readonly oldestTransaction: { readonly role: string; readonly seconds: number } | null;
  /** Schemas in which what services had is kept while they are restored. */
  readonly setAside: readonly string[];
  /** Clients that are being let in and hold a transaction already. */
  readonly hiddenLogins: number;
  /** Of the oldest database; at two billion the server stops. */
  readonly transactionIdAge: number;
  /** Seconds. */
  readonly longestAutovacuum: number;
  /** Part of NOTIFY's queue that is in use, from 0 to 1; full, nobody's NOTIFY commits. */
  readonly notificationQueue: number;
  /** Part of the table that is in use; full, SERIALIZABLE transactions fail. */
  readonly predicateLocks: number;
  readonly pendingRestart: readonly string[];
  readonly alteredBySystem: readonly string[];
}

/** What is on a server's disk; see files.sql. */
export interface FilesOnDisk {
  /** Bytes of each service's schema, by its name. */
  readonly schemas: Readonly<Record<string, number>>;
  /** Bytes of PostgreSQL's own tables, where comments and definitions of all are. */
  readonly catalogs: number;
  /** Of no table: left by a crash. `largest`: the first few, beneath the data directory. */
  readonly orphans: { readonly bytes: number; readonly files: number; readonly largest: readonly string[] };
}

/** When certificates end, in ISO 8601. */
export interface CertificateStatus {
  readonly server: string;
  readonly authority: string;
}

export interface NodeStatus {
  readonly node: NodeName;
  readonly container: string;
  /** Docker's word: `running`, `exited`, `restarting`, `paused`; `missing` where there is no container. */
  readonly state: string;
  readonly restarts: number;
  /** `127.0.0.1:5432`; "" while it does not run. */
  readonly published: string;
  /** undefined where the server does not answer; then `error` says why. */
  readonly server?: ServerStatus;
  /** Of the primary; undefined where that was not told in time. */
  readonly files?: FilesOnDisk;
  /** What its folder has, and with the last reload the server; undefined where there is none. */
  readonly certificates?: CertificateStatus;
  readonly error?: string;
}

/** Asks the engine, and through it both servers. Needs no credentials and no Pulumi. */
export function collectStatus({ settings, dockerHost }: Stack): readonly NodeStatus[] {
  const names = dockerNames(settings.namePrefix);
  return nodeNames.map((node) => {
    const { container } = names[node];
    const format = '{"state": {{json .State.Status}}, "restarts": {{.RestartCount}}}';
    const inspected = docker(["inspect", "--type", "container", "--format", format, container], { host: dockerHost });
    if (inspected.status !== 0) {
      const error = inspected.stderr.trim();
      return { node, container, state: "missing", restarts: 0, published: "", error };
    }
    const { state, restarts } = JSON.parse(inspected.stdout) as { state: string; restarts: number };
    const published = docker(["port", container, "5432"], { host: dockerHost }).stdout.trim().split("\n")[0] ?? "";
    const base = { node, container, state, restarts, published };
    // A paused container answers nobody, and docker would wait for it.
    if (state !== "running") return { ...base, error: refusal(container, dockerHost) ?? `the container is ${state}` };
    const ask = (role: string, file: string) => {
      const psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", database, "-f", "-"];
      const input = readFileSync(join(__dirname, file), "utf8");
      // A login may wait for what somebody has locked, which no setting of its session limits; after 10 s the server ends some.
      const limit = ["--env", "PGCONNECT_TIMEOUT=8"];
      return docker(["exec", "--interactive", ...limit, container, ...psql], { input, host: dockerHost });
    };
    const asked = ask(dumpRole, "server.sql");
    if (asked.status !== 0) {
      const [why = ""] = asked.stderr.trim().split("\n");
      return { ...base, error: withCause(why) };
    }
    const certificates = certificatesOf(container, dockerHost);
    const server = JSON.parse(asked.stdout) as ServerStatus;
    const measured = server.role === "primary" ? ask(superuserRole, "files.sql") : undefined;
    return {
      ...{ ...base, server },
      ...(measured?.status === 0 ? { files: JSON.parse(measured.stdout) as FilesOnDisk } : {}),
      ...(certificates === undefined ? {} : { certificates }),
    };
  });
}

/** Why a server has not answered, with what a service may have to do with it. */
export function withCause(why: string): string {
  if (why.endsWith("timeout expired")) {
    return `${why}; a service may hold what every login needs, npm run ops -- end-sessions ends its sessions, with --kill any`;
  }
  if (why.endsWith("conflict with recovery")) {
    return (
      `${why}; it is behind, and ends whoever reads what it replays: a service may empty or alter tables on the primary in a loop, ` +
      "pg_stat_activity there says which, npm run ops -- end-sessions ends it, and then the standby catches up"
    );
  }
  return why;
}

function certificatesOf(container: string, host: string | undefined): CertificateStatus | undefined {
  const endOf = (file: string) => {
    const { status, stdout } = docker(["exec", container, "cat", `/etc/centraldb/tls/${file}.crt`], { host });
    return status === 0 ? new Date(new X509Certificate(stdout).validTo).toISOString() : undefined;
  };
  const [server, authority] = [endOf(container), endOf("authority")];
  return server === undefined || authority === undefined ? undefined : { server, authority };
}

/** Why node.sh did not start the server, where that is the last it said. */
function refusal(container: string, host: string | undefined): string | undefined {
  const { stdout, stderr } = docker(["logs", "--tail", "1", container], { host });
  return /^centraldb: \S+ (refuses to start: .*)$/m.exec(stdout + stderr)?.[1];
}
