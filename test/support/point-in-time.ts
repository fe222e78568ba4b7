import { Client } from "pg";
import { superuserRole } from "../../components/access/plan-items";
import type { AuditTarget } from "../../ops/audit/target";
import { finishPoint, undoPoint, type FinishOptions } from "../../ops/restore/point/finish";
import { discardPoint, restoreToPoint } from "../../ops/restore/point/point-in-time";
import { parseTarget, type TargetOptions } from "../../ops/restore/point/target";
import type { Stack } from "../../ops/stack-file";
import { database } from "../../components/settings-rules";
import type { TestCluster } from "./cluster";
import { fakePassword } from "./mocks";

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
  const stack = (): Stack => ({ name: "test", settings: cluster.settings, dockerHost: undefined });
  let findings: readonly unknown[] = [];
  const collecting = (dieAfter?: string) => {
    const lines: string[] = [];
    const say = (line: string) => {
      lines.push(line);
      if (dieAfter !== undefined && line.startsWith(dieAfter)) throw new Error("killed");
    };
    return { lines, say };
  };
  const options = (say: (line: string) => void): FinishOptions => ({
    ...{ plan: cluster.plan, confirmed: database, say },
    target: targetOf(cluster),
  });
  return {
    get findings() {
      return findings;
    },
    restore: async (target) => {
      const { lines, say } = collecting();
      await restoreToPoint(stack(), parseTarget(target), undefined, say);
      return lines;
    },
    finish: async (dieAfter) => {
      const { lines, say } = collecting(dieAfter);
      findings = await finishPoint(stack(), options(say));
      return lines;
    },
    undo: async () => {
      const { lines, say } = collecting();
      findings = await undoPoint(stack(), options(say));
      return lines;
    },
    discard: () => {
      const { lines, say } = collecting();
      discardPoint(stack(), say);
      return lines;
    },
  };
}

/** As the stack's outputs have it. */
function targetOf(cluster: TestCluster): AuditTarget {
  const known = cluster.target(cluster.settings.primaryNode);
  const passwords = new Map([...known.passwords, [superuserRole, fakePassword("postgres-password")]]);
  const { host, port } = known;
  const login = { user: superuserRole, password: passwords.get(superuserRole) };
  return {
    name: "stack test",
    superuser: new Client({ host, port, database, ...login, connectionTimeoutMillis: 10_000 }),
    logins: { ...known, passwords },
  };
}
