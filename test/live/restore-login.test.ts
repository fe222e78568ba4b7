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

  it("makes nothing by itself that others may call, and gives it to nobody", async () => {
    const may = async () =>
      (
        await server.superuser.query<{ routine: string; role: string }>(
          `SELECT p.oid::regprocedure::text AS routine, r.rolname AS role FROM pg_proc p CROSS JOIN pg_roles r
            WHERE p.pronamespace = 'gt'::regnamespace AND NOT r.rolsuper AND r.rolname !~ '^(pg_|gt)'
              AND has_function_privilege(r.oid, p.oid, 'EXECUTE')`,
        )
      ).rows;
    await asOwner(server.superuser, args, async ({ role, owner }) => {
      const own = await session(role);
      await own.query(
        `SET ROLE ${owner}; CREATE FUNCTION gt.gt_f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         SET ROLE NONE; CREATE FUNCTION gt.gt_g() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE PROCEDURE gt.gt_p() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE gt.gt_a(int) (SFUNC = int4pl, STYPE = int)`,
      );
      expect(await may()).toEqual([]);
      for (const give of [
        "GRANT EXECUTE ON FUNCTION gt.gt_g() TO PUBLIC",
        `ALTER DEFAULT PRIVILEGES FOR ROLE "${role}" GRANT EXECUTE ON ROUTINES TO PUBLIC`,
        "ALTER DEFAULT PRIVILEGES IN SCHEMA gt GRANT EXECUTE ON ROUTINES TO PUBLIC",
        "ALTER FUNCTION gt.gt_g() OWNER TO agapp",
      ]) {
        await expect(own.query(give), give).rejects.toThrow(/is not for|permission denied|must be able to/);
      }
      await own.end();
    });
    expect(await may()).toEqual([]);
    const left =
      "DROP FUNCTION gt.gt_f(); DROP FUNCTION gt.gt_g(); DROP PROCEDURE gt.gt_p(); DROP AGGREGATE gt.gt_a(int)";
    await server.superuser.query(left);
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
