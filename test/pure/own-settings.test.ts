import { describe, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import { settingsOf } from "../../components/access/role-settings";
import { settingsBack, type FoundSettings, type LongPassword } from "../../components/lifecycle/own-settings";
import { services } from "../../services/registry";

const plan = planAccess(services, { database: "appdb", extensions: [] });
const planned = (role: string) => Object.fromEntries(settingsOf(plan, role));
const found = (role: string, more: FoundSettings["settings"] = {}, database: string | null = null): FoundSettings => ({
  role,
  database,
  settings: more === null ? null : database === null ? { ...planned(role), ...more } : more,
});
/** What the plan makes of it. */
const ofUser = [
  "ALTER ROLE gtuser RESET ALL",
  "ALTER ROLE gtuser SET search_path = gt, extensions",
  "ALTER ROLE gtuser SET statement_timeout = 30000",
  "ALTER ROLE gtuser SET idle_in_transaction_session_timeout = 60000",
  "ALTER ROLE gtuser SET temp_file_limit = '1024MB'",
  "ALTER ROLE gtuser SET lock_timeout = '10s'",
  "ALTER ROLE gtuser SET default_transaction_read_only = 'on'",
];

describe("up sets back", () => {
  it.each<[string, FoundSettings | LongPassword, readonly string[], readonly string[]]>([
    [
      "a password that fills everybody's memory",
      { role: "gtuser", passwordBytes: 100_000_000 },
      [
        "gtuser has set itself a password whose verifier is 100000000 bytes: up takes it away, another rotation gives it one",
      ],
      ["ALTER ROLE gtuser PASSWORD NULL"],
    ],
    [
      "a setting the plan lacks",
      found("gtuser", { local_preload_libraries: "nope" }),
      ["gtuser has set its local_preload_libraries: up sets it back"],
      ofUser,
    ],
    [
      "a value that is not the plan's, which may be the plan's change",
      found("gtuser", { statement_timeout: "1h" }),
      ["gtuser has another statement_timeout than the plan: up sets it to the plan's"],
      ofUser,
    ],
    [
      "several at once, each named",
      found("gtuser", { application_name: "a\\b\nc", search_path: "pg_catalog" }),
      [
        "gtuser has another search_path than the plan: up sets it to the plan's",
        "gtuser has set its application_name: up sets it back",
      ],
      ofUser,
    ],
    ["what is too long to be read", found("gtuser", null), ["gtuser has set its settings: up sets them back"], ofUser],
    [
      "whatever is set in one database, also to what the plan says",
      found("gtuser", { lock_timeout: "10s" }, "my db"),
      ["gtuser has set its lock_timeout in database my db: up sets it back"],
      ['ALTER ROLE gtuser IN DATABASE "my db" RESET ALL'],
    ],
    [
      "what is too long there",
      found("gtuser", null, "appdb"),
      ["gtuser has set its settings in database appdb: up sets them back"],
      ["ALTER ROLE gtuser IN DATABASE appdb RESET ALL"],
    ],
  ])("%s", (_, own, notices, statements) => {
    const others = plan.roles.map(({ name }) => found(name)).filter(({ role }) => role !== own.role);
    expect(settingsBack(plan, [...others, own])).toEqual({ notices, statements });
  });
});

describe("up leaves", () => {
  it.each<[string, readonly FoundSettings[]]>([
    ["what the plan gives to each role", plan.roles.map(({ name }) => found(name))],
    ["a role that has not got all of it yet", [{ ...found("gtuser"), settings: { search_path: "gt, extensions" } }]],
    [
      "roles that are no service's, and the superuser",
      [found("app", { work_mem: "1GB" }), found("postgres", { lock_timeout: "60s" }, "appdb"), found("somebody", null)],
    ],
  ])("%s", (_, rows) => {
    expect(settingsBack(plan, rows)).toEqual({ notices: [], statements: [] });
  });
});
