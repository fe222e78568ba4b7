import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ownSettingsQuery, renderLogins, renderSettingsBack } from "../../components/access/sql";
import { settingsBack, type FoundSettings, type LongPassword } from "../../components/lifecycle/own-settings";
import { services } from "../../services/registry";
import { startTestServer, testPlan, type TestServer } from "../support/server";

// What `up` finds of roles' own settings on a server, and sets back before anything else.
const registry = services.slice(0, 3);
const plan = testPlan(registry);
const frozen = testPlan(
  registry.map((service) => (service.code === "gt" ? { ...service, lifecycle: "frozen" as const } : service)),
);
let server: TestServer;
let planned: readonly (FoundSettings | LongPassword)[];

beforeAll(async () => {
  server = await startTestServer(plan);
  await server.apply(plan);
  planned = await look();
});
afterAll(() => server.stop());

async function look(): Promise<readonly (FoundSettings | LongPassword)[]> {
  const { rows } = await server.superuser.query<{ own: FoundSettings | LongPassword }>(ownSettingsQuery());
  return rows.map(({ own }) => own);
}

describe("own settings", () => {
  it("are found and set back: what a role set, in one database too, and nothing of the plan's", async () => {
    expect(planned.filter(({ role }) => role.startsWith("gt"))).toHaveLength(3);
    expect(settingsBack(plan, planned)).toEqual({ notices: [], statements: [] });

    await server.as(
      "gtown",
      "ALTER ROLE gtown IN DATABASE appdb SET search_path = ag; ALTER ROLE gtown SET lock_timeout = 0",
    );
    await server.as("gtapp", "ALTER ROLE gtapp SET application_name = E'a\\\\b\nc'");
    await server.as("agapp", "ALTER ROLE agapp SET local_preload_libraries = 'nope'");
    const { notices, statements } = settingsBack(plan, await look());
    expect(notices).toEqual([
      "agapp has set its local_preload_libraries: up sets it back",
      "gtapp has set its application_name: up sets it back",
      "gtown has another lock_timeout than the plan: up sets it to the plan's",
      "gtown has set its search_path in database appdb: up sets it back",
    ]);
    await expect(server.as("agapp", "SELECT 1")).rejects.toThrow("could not access file");

    await server.superuser.query(renderSettingsBack(statements));
    expect(await look()).toEqual(planned);
    await server.as("agapp", "SELECT 1");
  });

  it.each([
    ["that are long", randomBytes(2500).toString("base64")],
    ["that are long and stored in little", "a".repeat(100_000)],
  ])("%s are not read, and set back", async (_, value) => {
    await server.as("gtapp", `ALTER ROLE gtapp SET application_name = '${value}'`);
    const found = await look();
    expect(found.find(({ role }) => role === "gtapp")).toEqual({ role: "gtapp", database: null, settings: null });
    await server.superuser.query(renderSettingsBack(settingsBack(plan, found).statements));
    expect(await look()).toEqual(planned);
  });

  it("are set back where the role holds its own row: its session is ended", async () => {
    await server.as("gtapp", "ALTER ROLE gtapp SET work_mem = '1MB'");
    const { statements } = settingsBack(plan, await look());
    const holder = await server.session("gtapp");
    await holder.query("SET idle_in_transaction_session_timeout = 0; BEGIN; ALTER ROLE gtapp SET work_mem = '2MB'");
    await server.superuser.query(renderSettingsBack(statements));
    await holder.end().catch(() => undefined);
    expect(await look()).toEqual(planned);
  });

  it("are the plan's when a service is frozen", async () => {
    await server.as(
      "gtown",
      "ALTER ROLE gtown IN DATABASE appdb SET search_path = ag; ALTER ROLE gtown SET work_mem = '1MB'",
    );
    await server.superuser.query(renderLogins(frozen, new Map()));
    expect((await look()).filter(({ role }) => role === "gtown")).toEqual(
      planned.filter(({ role }) => role === "gtown"),
    );
    await server.apply(plan);
  });

  it("are found with a password that is longer than any, which up, and a freeze, take away", async () => {
    const key = `${"A".repeat(43)}=`;
    const long = `ALTER ROLE gtapp PASSWORD 'SCRAM-SHA-256$4096:${"A".repeat(1_000_000)}$${key}:${key}'`;
    const passwords = async () =>
      (await server.superuser.query("SELECT rolname, rolpassword IS NULL AS none FROM pg_authid WHERE rolname ~ '^gt'"))
        .rows as unknown[];
    await server.as("gtapp", long);
    const found = await look();
    expect(found.filter((own) => "passwordBytes" in own)).toEqual([{ role: "gtapp", passwordBytes: 1_000_109 }]);
    await server.superuser.query(renderSettingsBack(settingsBack(plan, found).statements));
    const taken = ["gtown", "gtapp", "gtuser"].map((rolname) => ({ rolname, none: rolname === "gtapp" }));
    expect(await passwords()).toEqual(expect.arrayContaining(taken));
    expect((await look()).filter((own) => "passwordBytes" in own)).toEqual([]);

    await server.apply(plan);
    await server.as("gtapp", long);
    await server.superuser.query(renderLogins(frozen, new Map()));
    expect(await passwords()).toEqual(expect.arrayContaining(taken));
    await server.apply(plan);
  });
});
