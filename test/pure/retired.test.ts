import { describe, expect, it } from "vitest";
import { verdictsOf, type DrillFinding } from "../../agent/drills/findings";
import type { BackupDrill } from "../../agent/drills/results";
import { planAccess } from "../../components/access/plan";
import { renderPlan } from "../../components/access/sql";
import { noData } from "../../components/cluster/primary-check";
import type { Survey } from "../../components/cluster/survey";
import { declaredKept, refusals } from "../../components/lifecycle/refusals";
import {
  dropFailure,
  keptFlaws,
  proofFlaws,
  retiredNotices,
  retiredRefusals,
  type ProofList,
  type SurveyedRetired,
} from "../../components/lifecycle/retired";
import { roleType, serviceType, type OwnState } from "../../components/lifecycle/state";
import { dockerNames } from "../../components/naming";
import { formatPage } from "../../ops/access/page";
import { fieldsOf } from "../../ops/retire/retire";
import { keptBackup as keptAt, requireBack } from "../../ops/retire/unretire";
import { readStackSettings } from "../../ops/stack-file";
import { connectionBudget } from "../../services/connection-budget";
import { services } from "../../services/registry";
import { resolveService, type Service } from "../../services/service";
import { validateRegistry } from "../../services/validate";

const id = "20261126T170000Z-logical";
const ledgerIs = (changes: Partial<Service>): readonly Service[] =>
  services.map((service) => (service.name === "ledger" ? { ...service, ...changes } : service));
const planOf = (of: readonly Service[]) => planAccess(of, { database: "appdb", extensions: [] });
const retired = ledgerIs({ lifecycle: "retired", retiredBackups: { dev: id } });
const without = services.filter(({ name }) => name !== "ledger");
const plan = planOf(retired);

describe("the backup a service is brought back from", () => {
  const listed = (kind: "logical" | "imported", day: number, pinned: boolean) =>
    ({
      ...{ id: `2026112${day}T170000Z-${kind}`, kind, pinned, startedAt: `2026-11-2${day}T17:00:00.000Z` },
      logical: { services: ["ld"] },
    }) as unknown as Kept;
  type Kept = Parameters<typeof keptAt>[0][number];
  const now = new Date("2026-11-28T12:00:00Z");
  const keptBackup = (backups: readonly Kept[], service: typeof of, named: string | undefined) =>
    keptAt(backups, service, named, now);
  const of = { name: "ledger", code: "ld" };

  it("is the newest pinned dump; one that was imported since only where it is named", () => {
    const backups = [listed("logical", 4, true), listed("logical", 5, true), listed("imported", 6, true)];
    const newer = [...backups, listed("logical", 7, false)];
    expect(keptBackup(newer, of, undefined).id).toBe("20261125T170000Z-logical");
    expect(keptBackup(newer, of, "20261126T170000Z-imported").id).toBe("20261126T170000Z-imported");
    expect(() => keptBackup(backups.slice(2), of, undefined)).toThrow(
      "no backup with ledger is pinned; --backup names",
    );
  });

  it("is named by a person where one of them is dated in the future: it may be the one", () => {
    const backups = [listed("logical", 5, true), listed("logical", 9, true)];
    expect(() => keptBackup(backups, of, undefined)).toThrow(
      "20261129T170000Z-logical is dated in the future: --backup names the one that is meant; pinned ones that have ledger: " +
        "20261125T170000Z-logical, 20261129T170000Z-logical",
    );
    expect(keptBackup(backups, of, "20261129T170000Z-logical").id).toBe("20261129T170000Z-logical");
    expect(
      keptBackup(
        [backups[0], listed("logical", 9, false)].flatMap((one) => one ?? []),
        of,
        undefined,
      ).id,
    ).toBe("20261125T170000Z-logical");
  });
});

describe("a retired service", () => {
  it("is valid, and takes no connections", () => {
    expect(validateRegistry(retired, 200)).toEqual([]);
    expect(connectionBudget(retired, 200)).toEqual(connectionBudget(without, 200));
  });

  it("has nothing in the plan but its name", () => {
    expect({ ...plan, retired: [] }).toEqual(planOf(without));
    expect(plan.retired.map(({ name }) => name)).toEqual(["ledger"]);
    expect(renderPlan(plan, new Map())).toBe(renderPlan(planOf(without), new Map()));
  });

  it("stands in ACCESS.md with its code and its backups, and nobody else differs", () => {
    const matrix = { roles: [], access: [] };
    const page = formatPage(plan, matrix);
    const section = page.slice(page.indexOf("## Retired"), page.indexOf("## One service reads another"));
    expect(section).toContain("| ledger | `lg` | dev: `20261126T170000Z-logical` |");
    expect(page.replace(section, "")).toBe(formatPage(planOf(without), matrix));
  });
});

describe("a backup proves that a service can be brought back", () => {
  const found = (service: string | null, ...wrong: readonly string[]) => wrong.map((what) => ({ service, what }));
  const olderDrill = (
    backup: string,
    wrong: readonly DrillFinding[] = [],
    seconds: number | null = 3,
  ): BackupDrill => ({
    ...{ kind: "logical", backup, startedAt: "2026-11-26T17:10:00Z", seconds, lostSeconds: null },
    wrong: wrong.map(({ what }) => what),
  });
  const drill = (...[backup, wrong = [], seconds]: Parameters<typeof olderDrill>): ProofList["drills"][number] => ({
    backups: [{ ...olderDrill(backup, wrong, seconds), verdicts: verdictsOf(wrong) }],
  });
  const list = (
    changes: { readonly pinned?: boolean; readonly inside?: readonly string[] } = {},
    drills = [drill(id)],
  ) => ({
    backups: [
      {
        id,
        pinned: changes.pinned ?? true,
        logical: { services: changes.inside ?? ["lg"] },
      },
    ],
    drills,
  });
  const ledger = { code: "lg" };

  it("where it is pinned, has it, and was what it was when a drill restored it", () => {
    expect(proofFlaws(ledger, id, list())).toEqual([]);
    expect(proofFlaws(ledger, id, list({}, [drill(id, found("lg", "broken")), drill(id)]))).toEqual([]);
  });

  it("also where it was not what it was of others", () => {
    const others = [
      ...found("gt", "gtown: function gt.f(): …", "gt.gt_a is missing"),
      ...found("ag", "it has no ag: …"),
    ];
    expect(proofFlaws(ledger, id, list({}, [drill(id, others)]))).toEqual([]);
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ["it is not there", proofFlaws(ledger, id, { backups: [], drills: [] }), [`there is no backup ${id}`]],
    [
      "it is not pinned and has another service",
      proofFlaws(ledger, id, list({ pinned: false, inside: ["gt"] })),
      [`${id} is not pinned, and would be deleted with others of its age`, `${id} has no lg`],
    ],
    [
      "only another was drilled",
      proofFlaws(ledger, id, list({}, [drill("20261127T170000Z-logical")])),
      [`${id} was never restored by a drill`],
    ],
    [
      "its last drill failed",
      proofFlaws(ledger, id, list({}, [drill(id), drill(id, found("lg", "lg.lg_a has 1 rows, and had 2"))])),
      [`the drill of ${id} failed: lg.lg_a has 1 rows, and had 2`],
    ],
    [
      "its drill found something of it, of another, and of nobody",
      proofFlaws(
        ledger,
        id,
        list({}, [drill(id, [...found("gt", "x"), ...found("lg", "a", "b"), ...found(null, "not audited")])]),
      ),
      [`the drill of ${id} failed: a, and 1 more`, `the drill of ${id} failed: not audited`],
    ],
    [
      "its drill is from before what was found was kept of each service",
      proofFlaws(ledger, id, list({}, [{ backups: [olderDrill(id)] }])),
      [
        `the drill of ${id} says nothing of each service: it is of an older agent (where that one still runs, first lifecycle "frozen" and npm run up)`,
      ],
    ],
    [
      "its drill came to no end",
      proofFlaws(ledger, id, list({}, [drill(id, [], null)])),
      [`the drill of ${id} failed: it could not be tried to its end`],
    ],
  ])("not where %s", (_, flaws, expected) => {
    expect(flaws).toEqual(expected);
  });
});

describe("up drops a retired service", () => {
  const names = dockerNames("pg16");
  /** After an `up` in which ledger was this. */
  const stateOf = (lifecycle: string, of = services): OwnState => [
    ...declaredKept(planOf(of), names).map((kept) => ({
      ...{ ...kept, id: kept.called, labels: {} },
      ...(kept.type === roleType ? { login: lifecycle === "active" || !kept.name.startsWith("ledger-") } : {}),
    })),
    { type: serviceType, name: "ledger", called: "", id: "", labels: {}, lifecycle },
  ];
  const here = (changes: Partial<SurveyedRetired> = {}) =>
    new Map<string, SurveyedRetired>([
      ["lg", { isThere: true, hasSchema: true, begun: null, obstacles: [], flaws: [], ...changes }],
    ]);
  const ask = (state: OwnState, found: ReadonlyMap<string, SurveyedRetired> | undefined, stack = "dev") =>
    retiredRefusals(stack, plan.retired, state, found);

  it("that was frozen and whose backup is proven, and says so before", () => {
    expect(ask(stateOf("frozen"), here())).toEqual([]);
    expect(retiredNotices("dev", plan.retired, here())).toEqual([
      `ledger is retired: up drops the schema lg with all there is in it, and its roles; they are in ${id}, and ` +
        "npm run ops -- unretire ledger brings them back",
    ]);
  });

  it("once, and not in a stack that never had it", () => {
    const gone = here({ isThere: false, hasSchema: false });
    expect(ask(stateOf("frozen"), gone)).toEqual([]); // it was killed before pulumi had forgotten it
    expect(ask([], gone, "prod")).toEqual([]);
    expect(ask([], undefined, "prod")).toEqual([]);
    expect(retiredNotices("dev", plan.retired, gone)).toEqual([]);
  });

  it.each<[string, readonly string[], readonly string[]]>([
    [
      "it is in use",
      ask(stateOf("active"), here()),
      [
        'services.ledger.lifecycle: it is "retired", and stack dev has it in use: first "frozen" and npm run up -- dev, ' +
          "then npm run ops -- retire ledger --stack dev",
      ],
    ],
    [
      "others read it in the state, or it reads others",
      ask(
        [
          ...stateOf("frozen"),
          ...["reads-ledger-gtapp-schema", "reads-ledger-gtapp-future-tables", "reads-notifier-lguser-tables"].map(
            (name) => ({
              ...{ type: "postgresql:index/grant:Grant", name, called: "", id: "", labels: {} },
            }),
          ),
          // Another's, whose name begins like it.
          {
            type: "postgresql:index/grant:Grant",
            name: "reads-ledger-two-gtapp-schema",
            called: "",
            id: "",
            labels: {},
          },
        ],
        here(),
      ),
      [
        'services.ledger.lifecycle: it is "retired", and stack dev has reads of it (gtapp reads ledger, lguser reads notifier): ' +
          'back to "frozen", remove them from reads, npm run up -- dev, and retire it then',
      ],
    ],
    [
      "nobody answers",
      ask(stateOf("frozen"), undefined),
      ['services.ledger.lifecycle: it is "retired", and no primary answers that could drop it'],
    ],
    [
      "the backup is another stack's, also where the state is lost",
      [...ask(stateOf("frozen"), here(), "prod"), ...ask([], here(), "prod")],
      [
        "services.ledger.retiredBackups: there is none of stack prod: npm run ops -- retire ledger --stack prod makes and proves it",
        "services.ledger.retiredBackups: there is none of stack prod: npm run ops -- retire ledger --stack prod makes and proves it",
      ],
    ],
    [
      "the backup proves nothing, and others stand on it",
      ask(
        stateOf("frozen"),
        here({ flaws: [`${id} has no lg`], obstacles: ["view gt.gt_v of another service stands on it"] }),
      ),
      [
        `services.ledger.retiredBackups.dev: ${id} has no lg: npm run ops -- retire ledger --stack dev`,
        'services.ledger.lifecycle: it is "retired", and view gt.gt_v of another service stands on it',
      ],
    ],
  ])("not where %s", (_, found, expected) => {
    expect(found).toEqual(expected);
  });

  it("to its end where a part of it is gone, with the backup that was compared and no other", () => {
    const begun = here({ begun: id });
    expect(ask(stateOf("frozen"), begun)).toEqual([]);
    expect(retiredNotices("dev", plan.retired, begun)[0]).toContain("up goes on to drop the schema lg");
    const other = "20261127T170000Z-logical";
    expect(ask(stateOf("frozen"), here({ begun: other }))).toEqual([
      `services.ledger.retiredBackups.dev: up has begun to drop it, and what is gone is in ${other} alone: put that there`,
    ]);
    expect(ask(stateOf("frozen"), here({ begun: id, flaws: [`there is no backup ${id}`] }))).toEqual([
      `services.ledger.retiredBackups.dev: there is no backup ${id}: up has begun to drop it, and goes on when that is mended; ` +
        '"frozen" keeps what is left',
    ]);
    // A drill of it tells nothing of what is gone.
    const logical = { services: ["lg"] };
    expect(keptFlaws({ code: "lg" }, id, { backups: [{ id, pinned: true, logical }], drills: [] })).toEqual([]);
  });

  it("and says what a drop that failed has left, and what to do", () => {
    const [ledger] = plan.retired;
    if (ledger === undefined) throw new Error("no ledger");
    const found = { isThere: true, hasSchema: true, begun: null, obstacles: [] };
    const meanwhile = `Until then services.ledger.lifecycle: "frozen" lets others' changes through`;
    const who = "ERROR:  locked by others: app (process 7) has AccessShareLock on table lg.lg_entry";
    for (const why of ["ERROR:  canceling statement due to lock timeout", who]) {
      expect(dropFailure(ledger, "dev", `${why}\n`, found)).toBe(
        `ledger cannot be dropped, and is what it was: ${why}; ` +
          `a dump may read it: npm run up -- dev again when who has it has ended. ${meanwhile}`,
      );
    }
    const locks = "ERROR:  DROP SCHEMA lg CASCADE: out of shared memory";
    expect(dropFailure(ledger, "dev", locks, { ...found, begun: id })).toBe(
      `ledger cannot be dropped, and a part of it is gone, which ${id} has; the next up goes on: ${locks}; ` +
        "the server has not locks enough for others and this: with more max_locks_per_transaction in " +
        `centraldb:postgresqlSettings, and "frozen" again, npm run up -- dev; then "retired" again. ${meanwhile}`,
    );
    expect(dropFailure(ledger, "dev", "ERROR:  DROP SCHEMA lg CASCADE: odd", undefined)).toBe(
      "ledger cannot be dropped, and the primary does not say what is left of it: ERROR:  DROP SCHEMA lg CASCADE: odd; " +
        `npm run up -- dev again when that is mended. ${meanwhile}`,
    );
  });

  it("and is not in use again where a part of it is gone; it may rest", () => {
    const survey: Survey = {
      nodes: {},
      data: { primary: noData, replica: noData },
      ...{
        network: undefined,
        volumes: [{ name: "pg16-primary-data", stack: "dev" }],
        ownSettings: [],
        silence: undefined,
      },
      schemas: services.map(({ code }) => code),
      begunDrops: [`lg ${id}`],
    };
    const refused = (of: readonly Service[]) =>
      refusals("dev", planOf(of), readStackSettings("dev"), stateOf("frozen"), survey);
    expect(refused(retired)).toEqual([]);
    expect(refused(ledgerIs({ lifecycle: "frozen" }))).toEqual([]);
    expect(refused(services)).toEqual([
      `services.ledger.lifecycle: it is "active", and up has begun to drop it: "retired" again with retiredBackups.dev ${id}, ` +
        "npm run up -- dev, and npm run ops -- unretire ledger brings it back",
    ]);
  });

  it("and then its line may go; before, or under another name, it may not", () => {
    const survey: Survey = {
      nodes: {},
      data: { primary: noData, replica: noData },
      ...{ network: undefined, volumes: [{ name: "pg16-primary-data", stack: "dev" }], begunDrops: [] },
      ownSettings: [],
      silence: undefined,
      schemas: services.map(({ code }) => code),
    };
    const refused = (of: readonly Service[], state: OwnState, schemas = survey.schemas) =>
      refusals("dev", planOf(of), readStackSettings("dev"), state, { ...survey, schemas });
    const dropped = without.map(({ code }) => code);
    expect(refused(retired, stateOf("frozen"))).toEqual([]);
    expect(refused(retired, stateOf("frozen", without), dropped)).toEqual([]);
    expect(refused(without, stateOf("frozen", without), dropped)).toEqual([]);
    expect(refused(without, stateOf("frozen"))).toHaveLength(1);
    expect(refused(without, stateOf("frozen"), dropped)).toHaveLength(1); // pulumi has not forgotten it
    expect(refused(without, stateOf("frozen", without))).toEqual([
      'services: the server has the schema "lg" and services/registry.ts no service of that code: put its line back',
    ]);
    const renamed = retired.map((service) => (service.name === "ledger" ? { ...service, name: "book" } : service));
    expect(refused(renamed, stateOf("frozen"))).toEqual([
      'services.book: the stack has code "lg" as service ledger, by whose name its resources go: put the name "ledger" back',
    ]);
  });
});

describe("ops", () => {
  it("retire prints the literal's lines, with what other stacks have proven", () => {
    const ledger = resolveService({ ...services[3], ...{ name: "ledger", code: "lg", purpose: "", tables: [] } });
    expect(fieldsOf(ledger, "prod", id)).toEqual(['lifecycle: "retired",', `retiredBackups: { prod: "${id}" },`]);
    expect(fieldsOf({ ...ledger, retiredBackups: { "dev-2": "x", prod: "old" } }, "prod", id)).toEqual([
      'lifecycle: "retired",',
      `retiredBackups: { "dev-2": "x", prod: "${id}" },`,
    ]);
  });

  it("unretire wants the line back first", () => {
    const [ledger] = plan.retired;
    if (ledger === undefined) throw new Error("no ledger");
    const stack = { name: "dev", settings: readStackSettings("dev"), dockerHost: undefined };
    expect(() => requireBack(stack, ledger)).toThrow(
      "ledger is retired in services/registry.ts: take lifecycle and retiredBackups out of its literal, npm run up -- dev",
    );
  });
});
