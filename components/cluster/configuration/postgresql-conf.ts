import { reservedConnections } from "../../../services/connection-budget";
import { memoryOf } from "./memory";
import { restartSettings } from "./restart-settings";

/** A setting that is not PostgreSQL's default. */
export interface PostgresSetting {
  readonly name: string;
  /** As a person writes it: `4GB`, `10s`, `on`. */
  readonly value: string;
  /** Why it is not the default. */
  readonly reason: string;
}

export interface PostgresConfOptions {
  /** Memory of one node. */
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly maxConnections: number;
  /** The stack's own settings; they win. */
  readonly postgresqlSettings: Readonly<Record<string, string>>;
}

const reserved = (who: (typeof reservedConnections)[number]["who"]): number =>
  reservedConnections.find((row) => row.who === who)?.connections ?? 0;

/** Every setting of a node that is not PostgreSQL's default, in the order of PostgreSQL's manual. Pure. */
export function postgresqlConf(options: PostgresConfOptions): readonly PostgresSetting[] {
  const { memoryMiB, cpus, maxConnections, postgresqlSettings } = options;
  const memory = memoryOf(memoryMiB);
  const maxWalSizeMiB = Math.min(Math.max(Math.floor(memoryMiB / 4), 1024), 16_384);
  const superuserReserved = reserved("superuser_reserved_connections");
  const reservedForOthers = reservedConnections.reduce((sum, { connections }) => sum + connections, -superuserReserved);
  const rows: readonly (readonly [name: string, value: string, reason: string])[] = [
    ["listen_addresses", "*", "the container's network; Docker publishes one address of the host"],
    ["max_connections", String(maxConnections), "the page's 200; every role's limit fits in, see connection-budget.ts"],
    ["superuser_reserved_connections", String(superuserReserved), "the way in when all else is full"],
    ["reserved_connections", String(reservedForOthers), "for operators, backup and monitoring, as role app"],
    ["unix_socket_directories", "/var/run/postgresql", "where the container's own programs look"],
    ["authentication_timeout", "10s", "half-open logins of anybody hold connections, the superuser's too"],
    ["ssl", "on", "components/cluster/certificates.ts; who must use it says pg_hba.conf"],
    ["tcp_keepalives_idle", "60", "a client that is gone without a word frees its connection within two minutes"],
    ["tcp_keepalives_interval", "10", "as above"],
    ["tcp_keepalives_count", "6", "as above"],
    ["client_connection_check_interval", "10s", "a query whose client is gone stops"],
    ["tcp_user_timeout", "5min", "a client that reads nothing that long is gone; node.sh has 10 s for the standby"],

    ["shared_buffers", size(memory.sharedBuffersMiB), "RAM / 4"],
    ["work_mem", size(memory.workMemMiB), "RAM / 256, the page's 64MB; memory.ts says why it is survivable"],
    ["maintenance_work_mem", size(memory.maintenanceWorkMemMiB), "RAM / 16"],
    ["autovacuum_work_mem", size(memory.autovacuumWorkMemMiB), "three workers may each take it at the same time"],
    ["effective_io_concurrency", "200", "an SSD reads many pages at once"],
    ["maintenance_io_concurrency", "200", "as above"],
    ["max_worker_processes", String(Math.max(8, cpus + 4)), "parallel workers of all cores, and extensions' own"],
    ["max_parallel_workers", String(cpus), "the cores of a node"],
    ["max_parallel_workers_per_gather", String(Math.max(1, Math.min(4, Math.floor(cpus / 2)))), "half of them at most"],
    ["max_parallel_maintenance_workers", String(Math.max(1, Math.min(4, Math.floor(cpus / 2)))), "as above"],

    ["wal_compression", "on", "full-page images are most of the WAL; they travel to the replica and the archive"],
    ["checkpoint_timeout", "15min", "fewer full-page images; recovery after a crash stays within minutes"],
    ["max_wal_size", size(maxWalSizeMiB), "checkpoints come by time, not by volume"],
    ["min_wal_size", size(Math.floor(maxWalSizeMiB / 4)), "files are used again instead of made anew"],
    ["max_slot_wal_keep_size", size(maxWalSizeMiB * 2), "a dead replica must not fill the primary's disk"],

    ["wal_retrieve_retry_interval", "1s", "a standby finds a restarted primary within a second"],

    ["effective_cache_size", size(memory.effectiveCacheSizeMiB), "RAM * 3 / 4"],
    ["random_page_cost", "1.1", "an SSD has no seek"],
    ["jit", "off", "compiling costs short queries more than it saves, and counts against a process's memory"],

    ["timezone", "UTC", "the same in every container"],
    ["log_timezone", "UTC", "as above"],
    ["log_destination", "stderr", "docker logs"],
    ["log_line_prefix", "%m [%p] %q%u@%d %h ", "when, which process, who, where from"],
    ["log_min_duration_statement", "500ms", "the page promises 100 ms for a complex JOIN"],
    ["log_lock_waits", "on", "who waited for whom longer than deadlock_timeout"],
    ["log_temp_files", size(memory.workMemMiB), "what did not fit into work_mem, from that size on"],
    ["log_autovacuum_min_duration", "10s", "tables that keep autovacuum busy"],
    ["log_recovery_conflict_waits", "on", "reads on the replica that hold up what it replays"],
    ["log_parameter_max_length", "0", "values of slow statements are the services' data and may be secret"],

    ["shared_preload_libraries", "pg_stat_statements", "which statements take the time"],
    ["track_io_timing", "on", "tells waiting for the disk from computing"],
    ["track_activity_query_size", "4096", "whole statements in pg_stat_activity"],

    ["autovacuum_vacuum_scale_factor", "0.05", "large tables are vacuumed before a fifth of them is dead"],
    ["autovacuum_analyze_scale_factor", "0.02", "the planner's numbers stay true"],
    ["autovacuum_vacuum_cost_limit", "1000", "the default is meant for spinning disks"],
  ];
  const known = new Set(rows.map(([name]) => name));
  const own = Object.entries(postgresqlSettings).map(([name, value]): [string, string] => [name.toLowerCase(), value]);
  const chosen = new Map(own);
  return [
    ...rows.map(([name, value, reason]) => {
      const override = chosen.get(name);
      return override === undefined ? { name, value, reason } : { name, value: override, reason: ownReason };
    }),
    ...own.filter(([name]) => !known.has(name)).map(([name, value]) => ({ name, value, reason: ownReason })),
  ];
}

const ownReason = "centraldb:postgresqlSettings";

/** The file's text, a line for each setting. */
export function renderPostgresqlConf(settings: readonly PostgresSetting[]): string {
  const lines = settings.map(({ name, value, reason }) => `${name} = ${quote(value)}  # ${reason}`);
  return ["# Written by pulumi up from components/cluster/configuration/postgresql-conf.ts.", ...lines, ""].join("\n");
}

/** The settings a running server cannot take over, by name. */
export function settingsReadAtStart(settings: readonly PostgresSetting[]): readonly PostgresSetting[] {
  return settings.filter(({ name }) => restartSettings.includes(name));
}

/** As SHOW prints it: `4GB`, `64MB`. */
function size(mebibytes: number): string {
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}GB` : `${mebibytes}MB`;
}

/** The file's syntax: backslash and quote are doubled; settings-rules.ts lets no line break in. */
function quote(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}
