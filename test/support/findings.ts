import type { Plan } from "../../components/access/plan-items";
import { audit } from "../../ops/audit/audit";
import { describeFinding } from "../../ops/audit/finding";
import { effectOf } from "./effect-of";
import type { Mutant } from "./mutants";
import { startTestServer, type TestServer } from "./server";

/** What is said of a server that got another plan than was meant. */
export interface Said {
  readonly byEffectTest: readonly string[];
  readonly byAudit: readonly string[];
}

/** What the effect test and the audit say of a mutant: on `server`, or on a new one where only that shows it. */
export async function findings(server: TestServer, mutant: Mutant, plan: Plan): Promise<Said> {
  if (!mutant.needsNewServer) return said(server, mutant, plan);
  const fresh = await startTestServer(plan);
  try {
    return await said(fresh, mutant, plan);
  } finally {
    await fresh.stop();
  }
}

async function said(server: TestServer, mutant: Pick<Mutant, "plan">, plan: Plan): Promise<Said> {
  const byEffectTest = await effectOf(server, mutant.plan, plan);
  return { byEffectTest, byAudit: (await audit(plan, server.superuser, server)).map(describeFinding) };
}
