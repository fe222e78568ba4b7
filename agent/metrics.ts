import { Gauge, Registry } from "prom-client";
import { backupClasses, backupKinds } from "./schedule";
import type { Agent } from "./agent";
import { readCopyState } from "./copy/state";
import { setDrillMetrics, type MakeGauge } from "./drills/metrics";
import { drillFolder, readDrills } from "./drills/results";
import { isAhead, past } from "./past";
import type { Stored } from "./store";
import { parseLsn } from "./wal-position";

/** Prometheus' text of what the agent knows; values that nobody knows yet are left out. */
export async function metricsOf(agent: Agent): Promise<string> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `centraldb_backup_${name}`, help, labelNames, registers: [registry] });
  const { backups, broken } = agent.store.list();
  setBackupMetrics(backups, gauge);
  const failure = gauge("failing", "1 where the last run of this kind failed", ["kind"]);
  for (const kind of backupKinds) failure.set({ kind }, agent.failures.has(kind) ? 1 : 0);
  gauge("broken", "Folders in the store that are no backup").set(broken.length);
  gauge("running", "1 while a backup is made").set(agent.running === undefined ? 0 : 1);
  gauge("free_bytes", "Free in the store").set(await agent.store.freeBytes());
  gauge("wal_receiving", "1 while WAL is received").set(agent.receiving.since === undefined ? 0 : 1);
  const position = agent.receiving.position;
  if (position?.written !== null && position?.written !== undefined) {
    gauge("wal_received_bytes", "Position in the log up to which WAL is received").set(
      Number(parseLsn(position.written)),
    );
    gauge("wal_lag_bytes", "WAL the primary has and the archive has not").set(position.behind ?? NaN);
  }
  const stretch = agent.archive.stretches().at(-1);
  gauge("wal_segments", "Complete segments of the stretch of WAL that grows").set(stretch?.segments.length ?? 0);
  const copy = readCopyState(agent.places);
  if (copy !== undefined) {
    if (copy.completeAt !== null && !isAhead(copy.completeAt, new Date())) {
      gauge("copy_complete_timestamp_seconds", "When the second copy had everything last").set(
        Date.parse(copy.completeAt) / 1000,
      );
    }
    gauge("copy_failing", "1 where the second copy fails").set(copy.failed === null ? 0 : 1);
  }
  // The drill's container has no network to be asked on.
  setDrillMetrics(readDrills(drillFolder), gauge);
  gauge("clock_timestamp_seconds", "This container's clock").set(Date.now() / 1000);
  return registry.metrics();
}

/**
 * What Prometheus is told of the backups that are kept, oldest first. One that is dated in the future is no last success: it would hide for
 * so long that none is made.
 */
export function setBackupMetrics(backups: readonly Stored[], gauge: MakeGauge, now = new Date()): void {
  const last = gauge("last_success_timestamp_seconds", "When the newest proven backup began", ["kind", "class"]);
  const age = gauge("last_success_age_seconds", "How long ago that was", ["kind", "class"]);
  const bytes = gauge("last_success_bytes", "Its size in the store", ["kind", "class"]);
  const seconds = gauge("last_success_duration_seconds", "How long it took", ["kind", "class", "phase"]);
  const count = gauge("proven", "Proven backups in the store", ["kind", "class"]);
  const made = past(backups, now);
  for (const kind of backupKinds) {
    for (const backupClass of backupClasses) {
      const labels = { kind, class: backupClass };
      const isOwn = (backup: Stored) => backup.kind === kind && backup.classes.includes(backupClass);
      count.set(labels, backups.filter(isOwn).length);
      const newest = made.findLast(isOwn);
      if (newest === undefined) continue;
      const { manifest } = newest;
      last.set(labels, newest.startedAt.getTime() / 1000);
      age.set(labels, Math.max(0, now.getTime() - newest.startedAt.getTime()) / 1000);
      bytes.set(
        labels,
        manifest.files.reduce((sum, file) => sum + file.bytes, 0),
      );
      seconds.set({ ...labels, phase: "tools" }, manifest.seconds.tools);
      seconds.set({ ...labels, phase: "proof" }, manifest.seconds.proof);
    }
  }
  const inside = gauge("service_last_success_timestamp_seconds", "When the newest dump that has the service began", [
    "service",
  ]);
  // A file that is imported has what there was when somebody made it.
  for (const { kind, startedAt, services } of made) {
    if (kind !== "logical") continue;
    for (const service of services ?? []) inside.set({ service }, startedAt.getTime() / 1000);
  }
}
