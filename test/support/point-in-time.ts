import { finishPoint, undoPoint, type FinishOptions } from "../../ops/restore/point/finish";
import { discardPoint, restoreToPoint } from "../../ops/restore/point/point-in-time";
import { parseTarget, type TargetOptions } from "../../ops/restore/point/target";
import type { Platform } from "../../ops/restore/platform";
import { database } from "../../components/settings-rules";
import type { TestCluster } from "./cluster";
import { platformOn } from "./restore";

/** The commands of a restore to a point in time on a cluster, as an operator gives them; each gives what it printed, a line each. */
export interface PointInTime {
  restore(target: TargetOptions): Promise<readonly string[]>;
  /** @param dieAfter the process is gone after a line that begins so */
  finish(dieAfter?: string): Promise<readonly string[]>;
  undo(): Promise<readonly string[]>;
  discard(): readonly string[];
  /** What the audit of the last finish or undo found. */
  readonly findings: readonly unknown[];
}

export function pointInTime(cluster: TestCluster): PointInTime {
  const platform = (): Platform => platformOn(cluster, "test");
  let findings: readonly unknown[] = [];
  const collecting = (dieAfter?: string) => {
    const lines: string[] = [];
    const say = (line: string) => {
      lines.push(line);
      if (dieAfter !== undefined && line.startsWith(dieAfter)) throw new Error("killed");
    };
    return { lines, say };
  };
  const options = (say: (line: string) => void): FinishOptions => ({ confirmed: database, say });
  return {
    get findings() {
      return findings;
    },
    restore: async (target) => {
      const { lines, say } = collecting();
      await restoreToPoint(platform().stack, parseTarget(target), undefined, say);
      return lines;
    },
    finish: async (dieAfter) => {
      const { lines, say } = collecting(dieAfter);
      findings = await finishPoint(platform(), options(say));
      return lines;
    },
    undo: async () => {
      const { lines, say } = collecting();
      findings = await undoPoint(platform(), options(say));
      return lines;
    },
    discard: () => {
      const { lines, say } = collecting();
      discardPoint(platform().stack, say);
      return lines;
    },
  };
}
