import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "pg";
import { lockSequences, lockTables } from "../../agent/relation-locks";
import { tablesOf } from "../../agent/proof/tables";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// What a dump locks, of services one of which fills the lock table: by locks that are no table's.
const two = services.slice(0, 2);
const [few, lots] = two.map(({ code }) => code) as [string, string];
const plan = testPlan(two);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  const make = (prefix: string, count: number) =>
    `DO $$ BEGIN FOR n IN 1..${count} LOOP
       EXECUTE format('CREATE TABLE ${prefix}.${prefix}_%s (); CREATE SEQUENCE ${prefix}.${prefix}_%s_seq', n, n);
       IF n % 200 = 0 THEN COMMIT; END IF;
     END LOOP; END $$`;
  await server.superuser.query(make(few, 100)); // many more than a session locks without the table that all share
  await server.superuser.query(make(lots, 1_100));
});
afterAll(() => server.stop());

/** In a transaction of app's, as a dump is. */
async function asDump<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await server.session("app");
  try {
    await client.query("BEGIN READ ONLY");
    return await work(client);
  } finally {
    await client.end();
  }
}

const dumping = (client: Client) => ({
  client,
  folder: tmpdir(),
  options: { places: {} as never, say: () => undefined },
});

describe.each([
  ["tables", async (client: Client) => lockTables(dumping(client), [few, lots], await tablesOf(client))],
  ["sequences", (client: Client) => lockSequences(dumping(client), [few, lots])],
] as const)("%s, where somebody has taken the server's locks", (_, lock) => {
  it("are nobody's of few, and the dump fails whole; of many they are its own doing", async () => {
    expect([...(await asDump(lock))]).toEqual([]);
    const holder = await server.session(`${few}own`);
    await holder.query("SET idle_in_transaction_session_timeout = 0");
    await expect(holder.query("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 100000) n")).rejects.toThrow(
      "out of shared memory",
    );
    const letGo = (from: number, to: number) =>
      holder.query(`SELECT count(pg_advisory_unlock(n)) FROM generate_series(${from}, ${to}) n`);
    await letGo(1, 40);
    await expect(asDump(lock)).rejects.toThrow("out of shared memory");
    // Room for those of few, and not of many.
    await letGo(41, 300);
    const unlocked = await asDump(lock);
    expect([...unlocked].map(([code, { message }]) => [code, message])).toEqual([[lots, "out of shared memory"]]);
    await holder.end();
  });
});
