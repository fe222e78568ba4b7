import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectionBudget } from "../../services/connection-budget";
import { services } from "../../services/registry";
import { tierRole, tiers, type Service } from "../../services/service";
import { formatProblems, validateRegistry } from "../../services/validate";
import { registryArbitrary } from "../support/arbitrary";

const good: Service = { name: "gatherer", code: "gt", purpose: "Collects.", tables: ["gt_raw_data"] };
const other: Service = { name: "ledger", code: "lg", purpose: "Records.", tables: [] };

/** The problems of a registry, as a person reads them. */
function problems(registry: readonly unknown[], maxConnections = 200): string[] {
  return validateRegistry(registry as Service[], maxConnections).map(({ path, message }) => `${path}: ${message}`);
}

describe("the registry of the page", () => {
  it("has its twelve services with their codes, and no problem", () => {
    expect(services.map(({ name, code }) => `${name} ${code}`)).toEqual([
      "gatherer gt",
      "aggregator ag",
      "scheduler sc",
      "ledger lg",
      "notifier nf",
      "observer ob",
      "moderator md",
      "gamer gm",
      "prompter pm",
      "requester rq",
      "itg it",
      "allocator al",
    ]);
    expect(problems(services)).toEqual([]);
  });
});

describe("a bad registry", () => {
  it.each<[string, unknown[], string[]]>([
    [
      "a duplicate name",
      [good, { ...good, code: "gx", tables: [] }],
      ['services[1].name: duplicate name "gatherer"; services[0] has it already'],
    ],
    [
      "a duplicate code",
      [good, { ...other, code: "gt" }],
      ['services.ledger.code: duplicate code "gt"; services.gatherer has it already'],
    ],
    [
      "a code called like a role",
      [good, { ...other, code: "gtown" }],
      ['services.ledger.code: "gtown" is the name of a role of "gatherer"; choose another code'],
    ],
    [
      "a code of one letter",
      [{ ...other, code: "l" }],
      ['services.ledger.code: expected 2 to 8 lower-case letters, got "l"'],
    ],
    [
      "a code of nine letters",
      [{ ...other, code: "ledgerxyz" }],
      ['services.ledger.code: expected 2 to 8 lower-case letters, got "ledgerxyz"'],
    ],
    ["upper case", [{ ...other, code: "LG" }], ['services.ledger.code: expected 2 to 8 lower-case letters, got "LG"']],
    [
      "SQL in a code",
      [{ ...other, code: 'x"; --' }],
      ['services.ledger.code: expected 2 to 8 lower-case letters, got "x\\"; --"'],
    ],
    ["pg", [{ ...other, code: "pg" }], ['services.ledger.code: "pg" is reserved: the prefix pg_ is PostgreSQL\'s own']],
    [
      "public",
      [{ ...other, code: "public" }],
      ['services.ledger.code: "public" is reserved: PostgreSQL\'s own schema, and the name of everybody in a grant'],
    ],
    [
      "platform",
      [{ ...other, code: "platform" }],
      ['services.ledger.code: "platform" is reserved: the schema and the role that own what the platform needs'],
    ],
    ["app", [{ ...other, code: "app" }], ['services.ledger.code: "app" is reserved: the role that dumps the database']],
    [
      "a key word",
      [{ ...other, code: "order" }],
      ['services.ledger.code: "order" is reserved: a key word of PostgreSQL, it would need quoting everywhere'],
    ],
    [
      "a name with a space",
      [{ ...other, name: "the ledger" }],
      ['services[0].name: expected 1 to 40 lower-case letters, digits and dashes, a letter first, got "the ledger"'],
    ],
    [
      "a table without the prefix",
      [{ ...other, tables: ["balances"] }],
      ['services.ledger.tables[0]: "balances" lacks the prefix of its service; call it "lg_balances"'],
    ],
    [
      "a table that is only a prefix",
      [{ ...other, tables: ["lg_"] }],
      ['services.ledger.tables[0]: expected lg_ and lower-case letters, digits and underscores, got "lg_"'],
    ],
    [
      "a table that needs quoting",
      [{ ...other, tables: ["lg_Bal"] }],
      ['services.ledger.tables[0]: expected lg_ and lower-case letters, digits and underscores, got "lg_Bal"'],
    ],
    [
      "a table of 64 bytes",
      [{ ...other, tables: [`lg_${"x".repeat(61)}`] }],
      [`services.ledger.tables[0]: expected at most 63 bytes, got 64 in "lg_${"x".repeat(61)}"`],
    ],
    ["a table twice", [{ ...other, tables: ["lg_a", "lg_a"] }], ['services.ledger.tables[1]: duplicate table "lg_a"']],
    [
      "an unknown service in reads",
      [good, { ...other, reads: ["gathrer"] }],
      ['services.ledger.reads[0]: unknown service "gathrer"; known services are "gatherer", did you mean "gatherer"?'],
    ],
    [
      "reading itself",
      [{ ...other, reads: ["ledger"] }],
      ["services.ledger.reads[0]: a service reads its own schema anyway; remove the line"],
    ],
    [
      "reading one twice",
      [good, { ...other, reads: ["gatherer", "gatherer"] }],
      ['services.ledger.reads[1]: duplicate entry "gatherer"'],
    ],
    [
      "an unknown field",
      [{ ...other, read: ["gatherer"] }],
      [
        'services.ledger.read: unknown field; known are name, code, purpose, tables, connectionLimits, statementTimeoutSeconds, tempFileLimitMiB, reads, lifecycle, retiredBackups, rotation, did you mean "reads"?',
      ],
    ],
    [
      "a missing field",
      [{ name: "ledger", code: "lg", tables: [] }],
      ["services.ledger.purpose: expected one sentence on one line, got nothing"],
    ],
    [
      "a purpose of two lines",
      [{ ...other, purpose: "a\nb" }],
      ['services.ledger.purpose: expected one sentence on one line, got "a\\nb"'],
    ],
    [
      "a limit of 0",
      [{ ...other, connectionLimits: { app: 0 } }],
      ['services.ledger.connectionLimits: expected whole numbers from 1 to 1000 for owner, app, user, got {"app":0}'],
    ],
    [
      "a limit for no tier",
      [{ ...other, connectionLimits: { admin: 1 } }],
      ['services.ledger.connectionLimits: expected whole numbers from 1 to 1000 for owner, app, user, got {"admin":1}'],
    ],
    [
      "a rotation that is none",
      [{ ...other, rotation: { apps: 2 } }],
      [
        'services.ledger.rotation: expected a whole number from 1 to 1000000000, or one for some of owner, app, user, got {"apps":2}',
      ],
    ],
    [
      "half a second",
      [{ ...other, statementTimeoutSeconds: 0.5 }],
      ["services.ledger.statementTimeoutSeconds: expected a whole number of seconds from 1 to 2147483, got 0.5"],
    ],
    [
      "reads that is no list",
      [{ ...other, reads: "gatherer" }],
      ['services.ledger.reads: expected a list of service names, got "gatherer"'],
    ],
    [
      "a lifecycle that is none",
      [{ ...other, lifecycle: "deleted" }],
      ['services.ledger.lifecycle: expected one of "active", "frozen", "retired", got "deleted"'],
    ],
    [
      "a retired service without a backup",
      [{ ...other, lifecycle: "retired" }],
      [
        "services.ledger.retiredBackups: a retired service needs the backup it is in; npm run ops -- retire ledger, while it is frozen, " +
          "makes and prints it",
      ],
    ],
    [
      "a backup of a service that is not retired",
      [{ ...other, lifecycle: "frozen", retiredBackups: { prod: "20261126T170000Z-logical" } }],
      ['services.ledger.retiredBackups: only a retired service has it, and this one is "frozen"; remove the line'],
    ],
    [
      "a backup that is none of a dump",
      [{ ...other, lifecycle: "retired", retiredBackups: { prod: "20261126T170000Z-physical" } }],
      [
        'services.ledger.retiredBackups: expected a logical backup for each stack, like {"prod":"20261126T170000Z-logical"}, ' +
          'got {"prod":"20261126T170000Z-physical"}',
      ],
    ],
    [
      "a service that reads a retired one, whose code is still taken",
      [
        { ...good, reads: ["ledger"] },
        { ...other, lifecycle: "retired", retiredBackups: { prod: "20261126T170000Z-logical" } },
        { ...other, name: "ledger-two" },
      ],
      [
        'services.gatherer.reads[0]: "ledger" is retired, and has nothing to read; remove the entry',
        'services.ledger-two.code: duplicate code "lg"; services.ledger has it already',
      ],
    ],
    ["two commas", [good, , other], ["services[1]: expected a service literal, got nothing"]],
    [
      "a table between two commas",
      [{ ...other, tables: ["lg_a", ,] }],
      ['services.ledger.tables: expected a list of strings, got ["lg_a",null]'],
    ],
    [
      "a number without a word in JSON",
      [{ ...other, statementTimeoutSeconds: NaN, connectionLimits: 5n }],
      [
        "services.ledger.connectionLimits: expected whole numbers from 1 to 1000 for owner, app, user, got 5n",
        "services.ledger.statementTimeoutSeconds: expected a whole number of seconds from 1 to 2147483, got NaN",
      ],
    ],
    [
      "a purpose that clears the screen, or turns the direction of writing",
      [
        { ...good, purpose: "a\u009b2J" },
        { ...other, purpose: "a\u202eb" },
      ],
      [
        'services.gatherer.purpose: expected one sentence on one line, got "a\\x9b2J"',
        'services.ledger.purpose: expected one sentence on one line, got "a\\u202eb"',
      ],
    ],
    [
      "a field's name of two lines",
      [{ ...other, "a\nb": 1 }],
      [
        'services.ledger["a\\nb"]: unknown field; known are name, code, purpose, tables, connectionLimits, statementTimeoutSeconds, tempFileLimitMiB, reads, lifecycle, retiredBackups, rotation',
      ],
    ],
    [
      "something that is no service",
      ["ledger", null],
      ['services[0]: expected a service literal, got "ledger"', "services[1]: expected a service literal, got null"],
    ],
    [
      "10,000 characters",
      [{ ...other, name: "x".repeat(10_000) }],
      [
        `services[0].name: expected 1 to 40 lower-case letters, digits and dashes, a letter first, got "${"x".repeat(76)}…`,
      ],
    ],
  ])("is refused for %s", (_, registry, expected) => {
    expect(problems(registry)).toEqual(expected);
  });

  it("is refused where it is no list", () => {
    expect(validateRegistry(undefined as unknown as Service[], 200)).toEqual([
      { path: "services", message: "expected a list of service literals, got nothing" },
    ]);
  });

  it("says by how much the connection budget is exceeded and who takes what", () => {
    expect(problems([good, { ...other, connectionLimits: { app: 20 } }], 50)).toEqual([
      "services: the connection limits exceed max_connections = 50 by 3 (superuser_reserved_connections 3, " +
        "operators and pulumi up 7, replication 2, backup 4, monitoring 4, gatherer 9, ledger 24); " +
        "lower connectionLimits or raise centraldb:maxConnections",
    ]);
  });

  it("is told whole where some fields have the wrong type: they hide nothing else", () => {
    const bad = {
      name: "The Ledger",
      code: "l",
      purpose: 1,
      tables: ["lg_a"],
      connectionLimits: { app: -1 },
      reads: ["x"],
    };
    expect(problems([good, bad]).map((line) => line.split(":")[0])).toEqual([
      "services[1].purpose",
      "services[1].connectionLimits",
      "services[1].name",
      "services[1].code",
      "services[1].reads[0]",
    ]);
  });

  it("is told all at once, in one message", () => {
    const registry = [
      { ...good, reads: ["nobody"] },
      { ...other, code: "gt", tables: ["x"] },
    ];
    expect(formatProblems(validateRegistry(registry, 200))).toBe(
      [
        "services/registry.ts has 3 problems:",
        '  services.gatherer.reads[0]: unknown service "nobody"; known services are "ledger"',
        '  services.ledger.code: duplicate code "gt"; services.gatherer has it already',
        '  services.ledger.tables[0]: "x" lacks the prefix of its service; call it "gt_x"',
      ].join("\n"),
    );
  });
});

describe("the connection budget", () => {
  it("has room for 20 services with default limits in 200 connections, and not for 21", () => {
    const many = (count: number): Service[] =>
      Array.from({ length: count }, (_, index) => {
        const code = `s${String.fromCharCode(97 + Math.floor(index / 26), 97 + (index % 26))}`;
        return { name: `service-${index}`, code, purpose: "One of many.", tables: [] };
      });
    expect(connectionBudget(many(20), 200).free).toBe(0);
    expect(problems(many(20))).toEqual([]);
    expect(problems(many(21))).toHaveLength(1);
  });
});

describe("any valid registry", () => {
  it("is found valid, and has role names that are all different and no schema's name", () => {
    fc.assert(
      fc.property(registryArbitrary, (registry) => {
        expect(problems(registry, 10_000)).toEqual([]);
        const roles = registry.flatMap(({ code }) => tiers.map((tier) => tierRole(code, tier)));
        expect(new Set(roles).size).toBe(roles.length);
        expect(roles.filter((role) => registry.some(({ code }) => code === role))).toEqual([]);
      }),
    );
  });
});

describe("anything at all", () => {
  it("is refused with problems or accepted, and never breaks the validation", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.anything(),
            fc.record({
              name: fc.anything(),
              code: fc.string(),
              purpose: fc.string(),
              tables: fc.array(fc.string()),
              reads: fc.array(fc.string()),
            }),
          ),
        ),
        (registry) => {
          for (const line of problems(registry)) {
            expect(line).toMatch(/^services(\[\d+\]|\.[a-z0-9-]+)?/);
            expect(line).not.toContain("\n");
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
