import { describe, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import { generationLabel, stateLabel } from "../../components/cluster/labels";
import { noData } from "../../components/cluster/primary-check";
import type { FoundNode, Survey } from "../../components/cluster/survey";
import { asInState, compare } from "../../components/lifecycle/existing";
import { declaredKept, refusals } from "../../components/lifecycle/refusals";
import { containerType, networkType, schemaType, volumeType, type OwnState } from "../../components/lifecycle/state";
import { dockerNames } from "../../components/naming";
import type { Settings } from "../../components/settings-rules";
import { readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";

const settings = readStackSettings("dev");
const names = dockerNames("pg16");
const archivist: Service = { name: "archivist", code: "ar", purpose: "Keeps.", tables: [] };
const registry = [...services, archivist];
const planOf = (of: readonly Service[]) => planAccess(of, { database: "appdb", extensions: [] });

const found = (id: string, changes: Partial<FoundNode> = {}): FoundNode => ({
  id,
  state: "running",
  labels: {},
  stack: "dev",
  network: "n1",
  ...changes,
});
const nothing: Survey = {
  nodes: {},
  data: { primary: noData, replica: noData },
  network: undefined,
  volumes: [],
  schemas: undefined,
  begunDrops: [],
  ownSettings: [],
  silence: undefined,
};
const running: Survey = {
  nodes: { primary: found("p1"), replica: found("r1") },
  data: {
    primary: { role: "primary", timeline: 1, running: true },
    replica: { role: "standby", timeline: 1, running: true },
  },
  network: "n1",
  volumes: [
    { name: "pg16-primary-data", stack: "dev" },
    { name: "pg16-replica-data", stack: "dev" },
  ],
  schemas: registry.map(({ code }) => code),
  begunDrops: [],
  ownSettings: [],
  silence: undefined,
};

const container = (name: string, id: string, generation?: number) => ({
  type: containerType,
  name: `${name}-container`,
  called: `pg16-${name}`,
  id,
  labels: generation === undefined ? {} : { [generationLabel]: String(generation) },
});
/** The containers are gone, the volumes are there. */
const stopped: Survey = { ...nothing, volumes: running.volumes, network: "n1" };

/** The state after an `up` with this registry. */
const stateOf = (of: readonly Service[]): OwnState => [
  ...declaredKept(planOf(of), names).map((kept) => ({ ...kept, id: kept.called, labels: {} })),
  { type: networkType, name: "cluster-network", called: "pg16", id: "n1", labels: {} },
  container("primary", "p1"),
  container("replica", "r1"),
];

describe("up refuses nothing", () => {
  it.each<[string, readonly Service[], OwnState, Survey]>([
    ["of a new stack", registry, [], nothing],
    ["where nothing differs", registry, stateOf(registry), running],
    ["where a service is appended", registry, stateOf(services), { ...running, schemas: services.map((s) => s.code) }],
    [
      "where a limit changes",
      registry.map((service) => ({ ...service, connectionLimits: { app: 4 } })),
      stateOf(registry),
      running,
    ],
    ["where a service is frozen", [...services, { ...archivist, lifecycle: "frozen" }], stateOf(registry), running],
    ["where no server answers and nothing is removed", registry, stateOf(registry), stopped],
    ["where the state is lost", registry, [], running],
    [
      "where the state has what bears no label",
      registry,
      stateOf(registry),
      {
        ...running,
        nodes: { primary: found("p1", { stack: undefined }) },
        volumes: [{ name: "pg16-primary-data", stack: "x" }],
      },
    ],
  ])("%s", (_, of, state, survey) => {
    expect(refusals("dev", planOf(of), settings, state, survey)).toEqual([]);
  });
});

describe("up refuses, with what is wrong and its cure,", () => {
  const refused = (
    of: readonly Service[],
    changes: Partial<Settings> = {},
    state = stateOf(registry),
    survey = running,
  ) => refusals("dev", planOf(of), { ...settings, ...changes }, state, survey);
  const gone =
    'services: archivist (code "ar") is in the stack and no longer in services/registry.ts: put its line back; ' +
    'with lifecycle: "frozen" nobody logs in any more and the data stay; npm run ops -- retire archivist is what comes then';

  it("a line that is gone, also while no server answers", () => {
    expect(refused(services)).toEqual([gone]);
    expect(refused(services, {}, stateOf(registry), stopped)).toEqual([gone]);
  });

  it("a line that is gone of which an up that failed had only made a role", () => {
    const state = stateOf(registry).filter(({ name }) => !/^archivist-(schema|app|user)$/.test(name));
    expect(refused(services, {}, state, stopped)).toEqual([gone]);
  });

  it("a code that was renamed", () => {
    expect(refused([...services, { ...archivist, code: "ax" }])).toEqual([
      'services.archivist.code: it is "ax", and the stack has its data as "ar": a code cannot be renamed; ' +
        'put "ar" back, and append "ax" as another service',
    ]);
  });

  it("a name that was renamed", () => {
    expect(refused([...services, { ...archivist, name: "archiver" }])).toEqual([
      'services.archiver: the stack has code "ar" as service archivist, by whose name its resources go: ' +
        'put the name "archivist" back',
    ]);
  });

  it("a schema of which neither registry nor state know", () => {
    expect(refused(services, {}, [])).toEqual([
      'services: the server has the schema "ar" and services/registry.ts no service of that code: put its line back',
    ]);
  });

  it("another prefix, which would begin with empty volumes", () => {
    expect(refused(registry, { namePrefix: "pg17" }, stateOf(registry), nothing)).toEqual([
      'centraldb:namePrefix: it is "pg17", and this stack\'s data are in the volumes of "pg16": put "pg16" back; ' +
        "another prefix is for another stack, a file Pulumi.NAME.yaml",
    ]);
  });

  it("a container of another program, and what another stack made", () => {
    const foreign: Survey = {
      ...nothing,
      nodes: { replica: found("x", { stack: undefined }) },
      volumes: [{ name: "pg16-primary-data", stack: "prod" }],
    };
    expect(refused(services, {}, [], foreign)).toEqual([
      "centraldb:namePrefix: the container pg16-replica exists, and this program did not make it: rename or remove it, or " +
        "give this stack another prefix and other ports",
      'centraldb:namePrefix: the volume pg16-primary-data is of stack "prod": give this stack another prefix and other ports ' +
        "(or the name back: pulumi stack rename prod)",
    ]);
  });

  it("data volumes that are gone, both", () => {
    expect(refused(registry, {}, stateOf(registry), nothing)).toEqual([
      "pg16-primary-data and pg16-replica-data are gone, and with them the data: bring a volume back, or " +
        "npm run ops -- wipe --stack dev and begin anew",
      "the network pg16 is gone, or another has its name: npm run up -- dev makes it again",
    ]);
  });

  it("a container that another state of the stack has made, after it took the data over", () => {
    const identity = { type: "random:index/randomUuid:RandomUuid", name: "cluster-identity", called: "", labels: {} };
    const state = [
      ...stateOf(registry).filter(({ name }) => name !== "primary-container"),
      { ...identity, id: "mine" },
    ];
    const madeBy = (id: string): Survey => ({
      ...running,
      nodes: { ...running.nodes, primary: found("p2", { labels: { [stateLabel]: id } }) },
    });
    expect(refused(registry, {}, state, madeBy("mine"))).toEqual([]);
    expect(refused(registry, {}, state, madeBy("another"))).toEqual([
      "pg16-primary was made by another state of stack dev, which took the data over: use that state, or move this one away " +
        "and npm run up -- dev --adopt",
    ]);
  });

  it("several things at once", () => {
    expect(refused([], { namePrefix: "pg17", primaryNode: "replica" })).toHaveLength(1 + services.length + 1 + 1);
  });
});

describe("what the engine has and the state has not", () => {
  it("is nothing in a new stack, and in one that is as it should be", () => {
    const none = {
      adoptNetwork: undefined,
      inTheWay: [],
      generations: { primary: 0, replica: 0, backup: 0, drill: 0 },
      adoptedVolumes: [],
      notices: [],
    };
    expect(compare(settings, [], nothing)).toEqual(none);
    expect(compare(settings, stateOf(registry), running)).toEqual(none);
  });

  it("is all of it where the state is lost: volumes and network are taken over, containers made anew", () => {
    expect(compare(settings, [], running)).toEqual({
      adoptNetwork: "n1",
      inTheWay: ["pg16-primary", "pg16-replica"],
      generations: { primary: 0, replica: 0, backup: 0, drill: 0 },
      adoptedVolumes: ["pg16-primary-data", "pg16-replica-data"],
      notices: [
        "this stack's state is empty: up takes over pg16-primary-data and pg16-replica-data and gives every role a new password",
        "pg16-primary exists and this stack's state does not know it: up makes it anew",
        "pg16-replica exists and this stack's state does not know it: up makes it anew",
      ],
    });
  });

  it("is a container that was made by an up that was killed", () => {
    const state = stateOf(registry).filter(({ name }) => name !== "replica-container");
    expect(compare(settings, state, running)).toMatchObject({ inTheWay: ["pg16-replica"], adoptedVolumes: [] });
  });

  it("is a container that somebody made in place of ours: that one goes, and pulumi makes its own", () => {
    const other = { ...running, nodes: { ...running.nodes, primary: found("p2") } };
    expect(compare(settings, stateOf(registry), other)).toMatchObject({
      inTheWay: ["pg16-primary"],
      generations: { primary: 1, replica: 0, backup: 0, drill: 0 },
    });
  });
});

describe("where no engine answers", () => {
  it("everything is taken to be as the state says: nothing is gone and nothing in the way", () => {
    const state = stateOf(registry);
    expect(compare(settings, state, asInState(state, settings))).toEqual(compare(settings, state, running));
    expect(refusals("dev", planOf(services), settings, state, asInState(state, settings))).toHaveLength(1);
  });
});

describe("a container that is gone", () => {
  const without: Survey = { ...running, nodes: { primary: found("p1") } };

  it("is made again because its generation counts up", () => {
    const differences = compare(settings, stateOf(registry), without);
    expect(differences.generations).toEqual({ primary: 0, replica: 1, backup: 0, drill: 0 });
    expect(differences.notices).toEqual(["pg16-replica is gone: up makes it again"]);
  });

  it("is one that is not on the network, too", () => {
    const detached = { ...running, nodes: { ...running.nodes, primary: found("p1", { network: undefined }) } };
    const differences = compare(settings, stateOf(registry), detached);
    expect(differences.generations).toEqual({ primary: 1, replica: 0, backup: 0, drill: 0 });
    expect(differences.notices).toEqual(["pg16-primary is not on the network pg16: up makes it anew"]);
    const withoutNetwork = { ...detached, network: undefined };
    expect(compare(settings, stateOf(registry), withoutNetwork).generations).toEqual({
      primary: 1,
      replica: 1,
      ...{ backup: 0, drill: 0 },
    });
  });

  it("is not the drill's, which is on no network", () => {
    const state = [...stateOf(registry), container("drill", "d1")];
    const survey = { ...running, nodes: { ...running.nodes, drill: found("d1", { network: undefined }) } };
    expect(compare(settings, state, survey)).toMatchObject({ generations: { drill: 0 }, notices: [] });
    expect(compare(settings, state, running)).toMatchObject({ generations: { drill: 1 } });
  });

  it("counts on from its last generation, which stays when it is there", () => {
    const state = [
      ...stateOf(registry).filter(({ name }) => name !== "replica-container"),
      container("replica", "r1", 3),
    ];
    expect(compare(settings, state, without).generations.replica).toBe(4);
    expect(compare(settings, state, running).generations.replica).toBe(3);
  });

  it("is not counted twice where a refresh has already taken it out of the state", () => {
    const state = stateOf(registry).filter(({ name }) => name !== "replica-container");
    expect(compare(settings, state, without)).toMatchObject({ generations: { replica: 0 }, notices: [] });
  });
});

it("the kept resources of a registry are volumes, and for each service a schema and three roles", () => {
  const kept = declaredKept(planOf([archivist]), names);
  expect(kept.map(({ name, called }) => `${name} ${called}`)).toEqual([
    "cluster-config pg16-config",
    "backup-volume pg16-backups",
    "backup-drill-volume pg16-drill",
    "cluster-primary-data pg16-primary-data",
    "cluster-replica-data pg16-replica-data",
    "archivist-schema ar",
    "archivist-owner arown",
    "archivist-app arapp",
    "archivist-user aruser",
  ]);
  expect(kept.map(({ type }) => type)).toContain(schemaType);
  expect(kept.filter(({ type }) => type === volumeType)).toHaveLength(5);
});
