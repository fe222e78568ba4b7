import { execFileSync } from "node:child_process";
import { planAccess } from "../components/access/plan";
import { database } from "../components/settings-rules";
import { audit } from "../ops/audit/audit";
import { projectFolder } from "../ops/stack-file";
import { services } from "../services/registry";
import type { Service } from "../services/service";
import { startTestServer, testPlan, type TestServer } from "../test/support/server";
import { measurePaired } from "./paired";

/** A server with `tables` tables in each service's schema. */
async function fill(registry: readonly Service[], tables: number): Promise<TestServer> {
  const plan = testPlan(registry);
  const server = await startTestServer(plan);
  await server.apply(plan);
  for (const { code } of plan.services) {
    const made = Array.from({ length: tables }, (_, index) => `CREATE TABLE ${code}_t${index} (id serial, note text)`);
    await server.as(`${code}own`, made.join("; "));
  }
  return server;
}

/** A hundred services, each of which reads the one before it. */
const hundred: readonly Service[] = Array.from({ length: 100 }, (_, index) => ({
  name: `service-${index}`,
  code: `z${String.fromCharCode(97 + Math.floor(index / 26), 97 + (index % 26))}`,
  purpose: "One of a hundred.",
  tables: [],
  reads: index === 0 ? [] : [`service-${index - 1}`],
}));

/** The audit of twelve services and of a hundred with twenty tables each, logins included, against starting Node with tsx alone. */
export async function benchAudit(runs: number): Promise<void> {
  const twelve = await fill(services, 2);
  const many = await fill(hundred, 20);
  const plans = [services, hundred].map((registry) => planAccess(registry, { database, extensions: ["citext"] }));
  const look = async (server: TestServer, index: number) => {
    const [plan] = plans.slice(index);
    const found = plan === undefined ? [] : await audit(plan, server.superuser, server);
    if (found.length > 0) throw new Error(`${found.length} findings on an untouched server`);
  };
  try {
    await measurePaired(
      [
        {
          name: "node with tsx, nothing else",
          run: () => void execFileSync(process.execPath, ["--import", "tsx", "-e", ""], { cwd: projectFolder }),
        },
        { name: "audit, 12 services with 2 tables each", run: () => look(twelve, 0) },
        { name: "audit, 100 services with 20 tables each", run: () => look(many, 1) },
      ],
      runs,
    );
  } finally {
    await twelve.stop();
    await many.stop();
  }
}
