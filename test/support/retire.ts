import type { Plan } from "../../components/access/plan-items";
import { renderDrop, retiredQuery } from "../../components/access/retired-sql";
import type { FoundRetired } from "../../components/lifecycle/retired";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { testPlan, type TestServer } from "./server";

/** The backup a service is dropped with in tests, of which nobody asks whether it is there. */
export const retiredBackup = "20261126T170000Z-logical";
const gatherer = { code: "gt" };
/** What its statements return. */
type Row = { readonly json_build_object?: FoundRetired; readonly is_left?: boolean };

/** Three services, of which gatherer is as said, and aggregator reads whom it is said to. */
export function planOfGatherer(changes: Partial<Service>, reads: readonly string[] = []): Plan {
  return testPlan(
    services.slice(0, 3).map((service) => {
      if (service.name === "gatherer") return { ...service, ...changes };
      return service.name === "aggregator" ? { ...service, reads } : service;
    }),
  );
}

/** What `up` finds of gatherer. */
export async function foundGatherer({ superuser }: TestServer): Promise<FoundRetired> {
  const found = rowsOf(await superuser.query(retiredQuery(gatherer))).find(
    (row) => row.json_build_object,
  )?.json_build_object;
  if (found === undefined) throw new Error("no answer");
  return found;
}

/** One transaction of gatherer's drop; whether there is more to do. One that fails is rolled back. */
export async function dropSome({ superuser }: TestServer, of = retiredBackup, run = "a run"): Promise<boolean> {
  try {
    return rowsOf(await superuser.query(renderDrop(gatherer, of, run))).at(-1)?.is_left === true;
  } catch (error) {
    await superuser.query("ROLLBACK");
    throw error;
  }
}

/** To its end, as `up` does; in how many transactions. */
export async function dropGatherer(server: TestServer): Promise<number> {
  const run = `run ${Date.now()}`;
  let times = 1;
  while (await dropSome(server, retiredBackup, run)) times++;
  return times;
}

/** A loop that commits each time; `#` is the number. */
export function each(count: number, ...statements: readonly string[]): string {
  return `DO $do$ BEGIN FOR i IN 1..${count} LOOP
     ${statements.map((one) => `EXECUTE replace($x$${one}$x$, '#', i::text);`).join("\n")} COMMIT;
   END LOOP; END $do$`;
}

/** Of several statements pg has several results, whatever its types say. */
function rowsOf(results: unknown): readonly Row[] {
  return (results as readonly { readonly rows: readonly Row[] }[]).flatMap(({ rows }) => rows);
}
