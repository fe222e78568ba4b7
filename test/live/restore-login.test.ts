import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client } from "pg";
import { asOwner } from "../../agent/restore/owner-login";
import { endSessions } from "../../components/access/end-sessions";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// Code of a service that is restored runs in a login of its own, and may do to it what a role may do to itself.
const plan = testPlan(services.slice(0, 2));
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  await server.superuser.query("SET lock_timeout = '3s'");
});
afterAll(() => server.stop());

const args = { database: plan.database, service: "gt" };
const leftRoles = async () =>
  (await server.superuser.query<{ name: string }>("SELECT rolname AS name FROM pg_roles WHERE rolname ~ '_restore_'"))
    .rows;

/** A session as that login: here nobody gets in without a password. */
async function session(role: string): Promise<Client> {
  await server.superuser.query(`ALTER ROLE "${role}" PASSWORD 'known'; ALTER ROLE "${role}" CONNECTION LIMIT -1`);
  return login(role);
}

async function login(user: string): Promise<Client> {
  const { host, port, database } = server;
  const client = new Client({ host, port, database, user, password: "known" });
  client.on("error", () => undefined); // it is ended
  await client.connect();
  return client;
}

describe("the login of a restore", () => {
  it("is forgotten though a session of its has its own row, or holds on to the owner's", async () => {
    await asOwner(server.superuser, args, async ({ role, owner }) => {
      const [own, owners] = [await session(role), await session(role)];
      await own.query(`BEGIN; ALTER ROLE "${role}" PASSWORD 'mine'`);
      await owners.query(`SET ROLE ${owner}; BEGIN; CREATE TABLE gt.gt_held ()`);
    });
    expect(await leftRoles()).toEqual([]);
  });

  it("that somebody else holds names its service, and is forgotten by the next one", async () => {
    await server.superuser.query("CREATE ROLE other SUPERUSER LOGIN PASSWORD 'known'");
    const other = await login("other");
    const holding = asOwner(server.superuser, args, ({ role }) =>
      other.query(`BEGIN; ALTER ROLE "${role}" CONNECTION LIMIT 5`),
    );
    await expect(holding).rejects.toMatchObject({ name: "BackupFailure", service: "gt" });
    await other.query("ROLLBACK");
    await other.end();
    expect(await leftRoles()).toHaveLength(1);
    await asOwner(server.superuser, args, () => Promise.resolve());
    expect(await leftRoles()).toEqual([]);
  });

  it("makes nothing by itself, whose functions everybody could call, and everything as the owner", async () => {
    const make = "CREATE FUNCTION gt.gt_f() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    await asOwner(server.superuser, args, async ({ role, owner }) => {
      const own = await session(role);
      await expect(own.query(make)).rejects.toThrow("permission denied");
      await own.query(`SET ROLE ${owner}; ${make}`);
      await expect(own.query("SET ROLE NONE; SELECT gt.gt_f()")).rejects.toThrow("permission denied");
      await own.end();
    });
    const may = "SELECT has_function_privilege('agapp', 'gt.gt_f()', 'EXECUTE') AS may";
    expect((await server.superuser.query(may)).rows).toEqual([{ may: false }]);
    await server.superuser.query("DROP FUNCTION gt.gt_f()");
  });

  it("is ended with the sessions of its service, by a freeze", async () => {
    await asOwner(server.superuser, args, async ({ role, owner }) => {
      const surviving = await session(role);
      await surviving.query(`SET ROLE ${owner}`);
      await server.superuser.query(`ALTER ROLE ${owner} NOLOGIN`);
      expect(await endSessions(server.superuser, [owner])).toBe(1);
      await expect(surviving.query("SELECT")).rejects.toThrow();
      await server.superuser.query(`ALTER ROLE ${owner} LOGIN`);
    });
  });
});
