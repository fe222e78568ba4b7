import type { Plan } from "../../components/access/plan-items";
import { effectOf } from "./effect-of";
import type { Mutant } from "./mutants";
import { startTestServer, type TestServer } from "./server";

/** What the effect test says of a mutant: on `server`, or on a new one where only that shows it. */
export async function findings(server: TestServer, mutant: Mutant, plan: Plan): Promise<readonly string[]> {
  if (!mutant.needsNewServer) return effectOf(server, mutant.plan, plan);
  const fresh = await startTestServer(plan);
  try {
    return await effectOf(fresh, mutant.plan, plan);
  } finally {
    await fresh.stop();
  }
}
