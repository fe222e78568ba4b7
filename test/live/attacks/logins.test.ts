import { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endSessions } from "../../../components/access/end-sessions";
import { frozenRoles } from "../../../components/access/plan-items";
import { describeViolation } from "../../../ops/effect-test/attempt";
import { testEffect } from "../../../ops/effect-test/effect-test";
import { services } from "../../../services/registry";
import { answer } from "../../support/attackers";
import { startTestServer, testPlan, type TestServer } from "../../support/server";

// Logins as a weapon: passwords a role gives itself, logins that never end, connections that are all taken.
const registry = services.filter(({ code }) => ["gt", "lg"].includes(code));
const plan = testPlan(registry);
const frozen = testPlan(
  registry.map((service) => (service.code === "gt" ? { ...service, lifecycle: "frozen" as const } : service)),
);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.as("lgown", "CREATE TABLE lg_balances (id int)");
});
afterAll(() => server.stop());

/** A user's login with a password of its choice, or a startup option. */
function login(config: { readonly password?: string; readonly options?: string }): Client {
  const { host, port, database, passwords } = server;
  const client = new Client({ host, port, database, user: "gtuser", password: passwords.get("gtuser"), ...config });
  client.on("error", () => undefined);
  return client;
}

async function comesIn(password: string | undefined): Promise<string> {
  const client = login(password === undefined ? {} : { password });
  const said = await client.connect().then(
    () => "let in",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  await client.end();
  return said;
}

describe("a new password", () => {
  const own = "chosen by somebody else";
  const giveItself = `BEGIN READ WRITE; ALTER ROLE gtuser PASSWORD '${own}'; COMMIT`;
  const refused = 'password authentication failed for user "gtuser"';

  it("open: is undone by a session that is still there, also before that is ended", async () => {
    const session = await server.session("gtuser");
    await server.apply(plan); // the rotation
    await session.query(giveItself);
    await server.superuser.query(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'gtuser'",
    );
    expect(await comesIn(own)).toBe("let in");
    expect(await comesIn(undefined)).toBe(refused);
    await server.apply(plan);
  });

  it("holds where the service is frozen first: nobody is left who could change it", async () => {
    const session = await server.session("gtuser");
    await session.query(giveItself);
    await server.apply(frozen);
    await endSessions(server.superuser, frozenRoles(frozen));
    await server.apply(plan);
    expect(await answer(session, giveItself)).not.toBe("done");
    expect(await comesIn(own)).toBe(refused);
    expect(await comesIn(undefined)).toBe("let in");
  });
});

describe("a login that takes its time (post_auth_delay, which anybody may ask for)", () => {
  it("open: holds back VACUUM for as long, and pg_stat_activity does not show it; pg_locks does", async () => {
    const late = login({ options: "-c post_auth_delay=3" });
    const connected = late.connect();
    await sleep(500);
    const ledger = await server.session("lgown");
    const said: string[] = [];
    ledger.on("notice", ({ message }) => said.push(message ?? ""));
    await ledger.query("INSERT INTO lg_balances SELECT generate_series(1, 100); DELETE FROM lg_balances");
    await ledger.query("VACUUM (VERBOSE) lg_balances");
    expect(said.join()).toContain("100 are dead but not yet removable");
    const shown = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gtuser'";
    expect(await answer(server.superuser, shown)).toBe("0");
    const held =
      "SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND pid NOT IN (SELECT pid FROM pg_stat_activity)";
    expect(await answer(server.superuser, held)).toBe("1");
    await connected;
    said.length = 0;
    await ledger.query("VACUUM (VERBOSE) lg_balances");
    expect(said.join()).toContain("100 removed");
    await late.end();
    await ledger.end();
  });
});

describe("DROP DATABASE, which asks for its lock before it asks whose it is", () => {
  it("open: behind a login that takes its time it keeps everybody from logging in, the superuser too, until its process is ended", async () => {
    const dropping = await server.session("gtuser");
    const pid = Number(await answer(dropping, "SELECT pg_backend_pid()"));
    await dropping.query("SET default_transaction_read_only = off; SET lock_timeout = 0");
    const late = login({ options: "-c post_auth_delay=60" });
    const connected = late.connect().catch(String);
    await sleep(500);
    const dropped = answer(dropping, "DROP DATABASE appdb");
    await sleep(500);
    let came = false;
    const ledger = server.session("lgapp").then(async (session) => {
      came = true;
      await session.end();
    });
    await sleep(3000);
    expect(came).toBe(false);
    process.kill(pid, "SIGTERM"); // ops end-sessions gatherer
    await ledger;
    expect(await dropped).toBe("terminating connection due to administrator command");
    const underWay =
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'virtualxid' AND pid NOT IN (SELECT pid FROM pg_stat_activity)";
    await server.superuser.query(underWay);
    await connected;
  });
});

describe("connections that are all taken", () => {
  it("make the effect test say so of that role, in a line for each database, and of nobody else", async () => {
    const taken = [await server.session("gtuser"), await server.session("gtuser")];
    const { violations } = await testEffect(plan, server, server.superuser);
    const tooMany = 'expected an answer, got error: too many connections for role "gtuser"';
    expect(violations.map(describeViolation)).toEqual(
      ["appdb", "postgres", "template1"].map((name) => `gtuser: log in to ${name}: ${tooMany}`),
    );
    await Promise.all(taken.map((session) => session.end()));
  });
});
