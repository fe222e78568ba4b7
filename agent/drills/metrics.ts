import type { Gauge } from "prom-client";
import { past } from "../past";
import { backupKinds } from "../schedule";
import type { Drill } from "./results";

/** Makes a gauge of the agent's; its name without the agent's own beginning. */
export type MakeGauge = (name: string, help: string, labelNames: string[]) => Gauge;

/** What Prometheus is told of the drills that are kept, oldest first; values that nobody knows yet are left out. */
export function setDrillMetrics(drills: readonly Drill[], gauge: MakeGauge, now = new Date()): void {
  const last = gauge("drill_timestamp_seconds", "When the newest drill of this kind began", ["kind"]);
  const lastSuccess = gauge("drill_last_success_timestamp_seconds", "When the newest that found nothing wrong began", [
    "kind",
  ]);
  const success = gauge("drill_success", "1 where the newest drill of this kind found nothing wrong", ["kind"]);
  const recovery = gauge("drill_recovery_seconds", "How long the newest that found nothing wrong took", ["kind"]);
  const lost = gauge("drill_lost_seconds", "What a loss of both servers would have cost then, in seconds of WAL", [
    "kind",
  ]);
  for (const kind of backupKinds) {
    const ofKind = past(drills, now).flatMap(({ backups }) => backups.filter((one) => one.kind === kind));
    const newest = ofKind.at(-1);
    if (newest === undefined) continue;
    last.set({ kind }, Date.parse(newest.startedAt) / 1000);
    success.set({ kind }, newest.wrong.length === 0 ? 1 : 0);
    const well = ofKind.findLast(({ wrong }) => wrong.length === 0);
    if (well === undefined) continue;
    lastSuccess.set({ kind }, Date.parse(well.startedAt) / 1000);
    if (well.seconds !== null) recovery.set({ kind }, well.seconds);
    if (well.lostSeconds !== null) lost.set({ kind }, well.lostSeconds);
  }
}
