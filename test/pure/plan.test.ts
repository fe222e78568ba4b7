import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describePlan, describeRoleSetting } from "../../components/access/describe";
import { planAccess } from "../../components/access/plan";
import { carriedBy, type Plan } from "../../components/access/plan-items";
import { schemaItems } from "../../components/access/schema-items";
import { renderFoundation, renderPlan, renderTiers } from "../../components/access/sql";
import { services } from "../../services/registry";
import { tierRole, type Service } from "../../services/service";
import { registryArbitrary } from "../support/arbitrary";

const gatherer: Service = { name: "gatherer", code: "gt", purpose: "Collects.", tables: [] };
const ledger: Service = { name: "ledger", code: "lg", purpose: "Records.", tables: [], statementTimeoutSeconds: 5 };
const plan = (registry: readonly Service[]): Plan =>
  planAccess(registry, { database: "appdb", extensions: ["citext"] });

/** The sentences the provider carries. */
const sentences = (registry: readonly Service[]): readonly string[] =>
  describePlan(carriedBy(plan(registry), "provider"));

describe("the plan of one service", () => {
  it("is these sentences and no others", () => {
    expect(sentences([gatherer])).toEqual([
      "GRANT USAGE, CREATE ON SCHEMA gt TO gtown",
      "GRANT USAGE ON SCHEMA gt TO gtapp",
      "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gt TO gtapp",
      "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA gt TO gtapp",
      "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA gt TO gtapp",
      "GRANT USAGE ON SCHEMA gt TO gtuser",
      "GRANT SELECT ON ALL TABLES IN SCHEMA gt TO gtuser",
      "GRANT SELECT ON ALL SEQUENCES IN SCHEMA gt TO gtuser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gtapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT USAGE, SELECT ON SEQUENCES TO gtapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT EXECUTE ON ROUTINES TO gtapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO gtuser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON SEQUENCES TO gtuser",
    ]);
  });

  it("has three roles that log in, with limits, path and timeouts", () => {
    const tierRole = { login: true, replication: false, bypassRowSecurity: false, memberOf: [] };
    expect(plan([ledger]).roles.filter(({ of }) => of !== null)).toEqual([
      {
        ...tierRole,
        name: "lgown",
        of: { service: "ledger", tier: "owner" },
        connectionLimit: 2,
        searchPath: ["lg", "extensions"],
        statementTimeoutMs: null,
        idleInTransactionSessionTimeoutMs: 60_000,
        carrier: "provider",
      },
      {
        ...tierRole,
        name: "lgapp",
        of: { service: "ledger", tier: "app" },
        connectionLimit: 5,
        searchPath: ["lg", "extensions"],
        statementTimeoutMs: 5000,
        idleInTransactionSessionTimeoutMs: 60_000,
        carrier: "provider",
      },
      {
        ...tierRole,
        name: "lguser",
        of: { service: "ledger", tier: "user" },
        connectionLimit: 2,
        searchPath: ["lg", "extensions"],
        statementTimeoutMs: 5000,
        idleInTransactionSessionTimeoutMs: 60_000,
        carrier: "provider",
      },
    ]);
  });

  it("has a schema that belongs to platform, not to the service", () => {
    expect(plan([gatherer]).schemas).toContainEqual({ name: "gt", owner: "platform", carrier: "provider" });
  });
});

describe("reads", () => {
  it("are what the other service's user tier has, for app and user, and also where both read each other", () => {
    const both = sentences([
      { ...gatherer, reads: ["ledger"] },
      { ...ledger, reads: ["gatherer"] },
    ]);
    const alone = new Set([...sentences([gatherer]), ...sentences([ledger])]);
    expect(both.filter((sentence) => !alone.has(sentence))).toEqual([
      "GRANT USAGE ON SCHEMA lg TO gtapp",
      "GRANT SELECT ON ALL TABLES IN SCHEMA lg TO gtapp",
      "GRANT SELECT ON ALL SEQUENCES IN SCHEMA lg TO gtapp",
      "GRANT USAGE ON SCHEMA lg TO gtuser",
      "GRANT SELECT ON ALL TABLES IN SCHEMA lg TO gtuser",
      "GRANT SELECT ON ALL SEQUENCES IN SCHEMA lg TO gtuser",
      "GRANT USAGE ON SCHEMA gt TO lgapp",
      "GRANT SELECT ON ALL TABLES IN SCHEMA gt TO lgapp",
      "GRANT SELECT ON ALL SEQUENCES IN SCHEMA gt TO lgapp",
      "GRANT USAGE ON SCHEMA gt TO lguser",
      "GRANT SELECT ON ALL TABLES IN SCHEMA gt TO lguser",
      "GRANT SELECT ON ALL SEQUENCES IN SCHEMA gt TO lguser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE lgown IN SCHEMA lg GRANT SELECT ON TABLES TO gtapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE lgown IN SCHEMA lg GRANT SELECT ON SEQUENCES TO gtapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE lgown IN SCHEMA lg GRANT SELECT ON TABLES TO gtuser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE lgown IN SCHEMA lg GRANT SELECT ON SEQUENCES TO gtuser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO lgapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON SEQUENCES TO lgapp",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO lguser",
      "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON SEQUENCES TO lguser",
    ]);
  });
});

describe("the platform's part", () => {
  it("has the page's own two roles: one that reads everything and writes nothing, one that replicates", () => {
    const own = plan([gatherer]).roles.filter(({ of, login }) => of === null && login);
    expect(
      own.map(({ name, replication, bypassRowSecurity, memberOf }) => [name, replication, bypassRowSecurity, memberOf]),
    ).toEqual([
      ["app", false, true, ["pg_monitor", "pg_read_all_data", "pg_use_reserved_connections"]],
      ["repl", true, false, []],
    ]);
    const grants = plan([gatherer]).grants.filter(({ to }) => to === "app" || to === "repl");
    expect(grants.map((grant) => `${grant.privileges.join()} ${grant.on.type} ${grant.to}`)).toEqual([
      "CONNECT database app",
      // set_config, pg_export_snapshot and pg_sequence_last_value for the dump, and five to look at sessions.
      ...Array<string>(8).fill("EXECUTE function app"),
    ]);
  });

  it("stands on no service: a new one does not touch the foundation", () => {
    expect(renderFoundation(plan(services))).toBe(renderFoundation(plan([gatherer])));
  });

  it("takes from PUBLIC what one service could use against all, and gives PUBLIC nothing", () => {
    const foundation = describePlan(carriedBy(plan(services), "foundation"));
    expect(foundation).toEqual(
      expect.arrayContaining([
        "REVOKE CONNECT, TEMPORARY ON EVERY DATABASE FROM PUBLIC",
        "REVOKE USAGE, CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint) FROM PUBLIC",
        "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
      ]),
    );
    expect(foundation.filter((sentence) => !sentence.startsWith("REVOKE"))).toEqual([]);
  });

  it("limits what the provider's role has no attribute for", () => {
    const settings = plan([{ ...gatherer, tempFileLimitMiB: 2048 }]).roleSettings.map(describeRoleSetting);
    expect(settings).toEqual([
      "gtown SET temp_file_limit = '2048MB'",
      "gtown SET lock_timeout = '10s'",
      "gtapp SET temp_file_limit = '2048MB'",
      "gtapp SET lock_timeout = '10s'",
      "gtuser SET temp_file_limit = '2048MB'",
      "gtuser SET lock_timeout = '10s'",
      "gtuser SET default_transaction_read_only = 'on'",
    ]);
  });

  it("gives the tiers the database and the extensions, and owners what migrations need", () => {
    const tiersOf = (suffix: string) =>
      describePlan(carriedBy(plan([gatherer]), "tiers")).filter((sentence) => sentence.endsWith(`TO gt${suffix}`));
    const both = (role: string) => [
      `GRANT CONNECT ON DATABASE appdb TO ${role}`,
      `GRANT USAGE ON SCHEMA extensions TO ${role}`,
    ];
    const execute = (role: string, signatures: readonly string[]) =>
      signatures.map((signature) => `GRANT EXECUTE ON FUNCTION pg_catalog.${signature} TO ${role}`);
    const sequences = [
      "currval(regclass)",
      "nextval(regclass)",
      "setval(regclass, bigint)",
      "setval(regclass, bigint, boolean)",
      "pg_sequence_last_value(regclass)",
    ];
    const signals = ["pg_cancel_backend(integer)", "pg_terminate_backend(integer, bigint)"];
    const ofTheSession = [
      "current_query()",
      "pg_cursor()",
      "pg_prepared_statement()",
      "pg_stat_get_activity(integer)",
      "pg_stat_get_backend_activity(integer)",
    ];
    const types = [
      "array_in(cstring, oid, integer)",
      "domain_in(cstring, oid, integer)",
      "multirange_in(cstring, oid, integer)",
      "pg_input_error_info(text, text)",
      "pg_input_is_valid(text, text)",
      "range_in(cstring, oid, integer)",
      "record_in(cstring, oid, integer)",
    ];
    const kept = [
      "set_config(text, text, boolean)",
      ...signals,
      ...ofTheSession,
      ...types,
      "setseed(double precision)",
    ];
    expect(tiersOf("app")).toEqual([...both("gtapp"), ...execute("gtapp", [...sequences, ...kept])]);
    expect(tiersOf("user")).toEqual([...both("gtuser"), ...execute("gtuser", kept)]);
    // Who reads another service runs that one's views.
    const reader = describePlan(carriedBy(plan([{ ...gatherer, reads: ["ledger"] }, ledger]), "tiers"));
    expect(reader.filter((sentence) => sentence.endsWith("TO gtapp"))).toEqual([
      ...both("gtapp"),
      ...execute("gtapp", sequences),
    ]);
    expect(tiersOf("own").slice(0, 2)).toEqual(both("gtown"));
    expect(tiersOf("own").slice(2, 4)).toEqual([
      "GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint) TO gtown",
      "GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(integer, integer) TO gtown",
    ]);
    expect(tiersOf("own").slice(-2)).toEqual([
      "GRANT USAGE ON LANGUAGE plpgsql TO gtown",
      "GRANT USAGE ON LANGUAGE sql TO gtown",
    ]);
    expect(tiersOf("own")).toHaveLength(2 + 16 + 5 + kept.length + 2);
    expect(renderTiers(plan([gatherer]))).toContain("GRANT CONNECT ON DATABASE appdb TO gtapp;");
  });
});

describe("any registry's plan", () => {
  it("gives a role nothing outside its own schema and those its service reads, and there SELECT at most", () => {
    fc.assert(
      fc.property(registryArbitrary, (registry) => {
        for (const { privileges, on, to } of carriedBy(plan(registry), "provider").grants) {
          const service = registry.find(({ code }) => ["own", "app", "user"].some((suffix) => code + suffix === to));
          const schema = "schema" in on ? on.schema : "";
          if (service?.code === schema) continue;
          const target = registry.find(({ code }) => code === schema);
          expect(service?.reads).toContain(target?.name);
          expect(privileges).toEqual(on.type === "schema" ? ["USAGE"] : ["SELECT"]);
          expect(to).not.toBe(tierRole(service?.code ?? "", "owner"));
        }
      }),
    );
  });

  it("has no two items for the same role, schema and type: two such resources would fight", () => {
    fc.assert(
      fc.property(registryArbitrary, (registry) => {
        const { grants, defaultPrivileges, roles, schemas } = plan(registry);
        for (const keys of [
          grants.map(({ on, to }) => JSON.stringify([on, to])),
          defaultPrivileges.map(({ owner, schema, objectType, to }) => [owner, schema, objectType, to].join()),
          roles.map(({ name }) => name),
          schemas.map(({ name }) => name),
        ]) {
          expect(new Set(keys).size).toBe(keys.length);
        }
      }),
    );
  });

  it("reaches the resources whole: every provider item of a schema once, under a name of its own", () => {
    fc.assert(
      fc.property(registryArbitrary, (registry) => {
        const planned = plan(registry);
        const provider = carriedBy(planned, "provider");
        const items = registry.flatMap(({ code }) => {
          const { own, reads } = schemaItems(planned, code);
          const keys = [...own, ...reads].map(({ key }) => key);
          expect(new Set(keys).size).toBe(keys.length);
          return [...own, ...reads];
        });
        expect(items).toHaveLength(provider.grants.length + provider.defaultPrivileges.length);
      }),
    );
  });

  it("is the same SQL for the same registry, in one transaction, before which frozen services are shut out in one", () => {
    fc.assert(
      fc.property(registryArbitrary, (registry) => {
        const sql = renderPlan(plan(registry), new Map());
        expect(sql).toBe(renderPlan(plan(registry), new Map()));
        const transactions = registry.some(({ lifecycle }) => lifecycle === "frozen") ? 2 : 1;
        expect(sql.match(/^(BEGIN|COMMIT);$/gm)?.join(" ")).toBe("BEGIN; COMMIT; ".repeat(transactions).trim());
      }),
      { numRuns: 20 },
    );
  });
});
