import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { scramVerifier } from "../../components/access/scram";
import { readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { fakePassword, runProgram, type Program } from "../support/mocks";

let dev: Program;
let prod: Program;
beforeAll(async () => {
  dev = await runProgram(readStackSettings("dev"), services);
  prod = await runProgram(readStackSettings("prod"), services);
});

/** Secret inputs reach a provider wrapped in this signature. */
const secret = (value: unknown) => ({ "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value });

describe("the program", () => {
  it("gives every resource a name of its own in both stacks, and the same ones", () => {
    const names = dev.resources.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(prod.resources.map(({ name }) => name)).toEqual(names);
  });

  it("declares 22 resources for a service and no service less", () => {
    for (const { name } of services) {
      expect(
        dev.resources.filter((resource) => resource.name === name || resource.name.startsWith(`${name}-`)),
      ).toHaveLength(22);
    }
  });
});

describe("one service (Gatherer)", () => {
  const shape = (type: string, inputs: object) => ({ type: `postgresql:index/${type}`, inputs });
  const grant = (role: string, objectType: string, privileges: string[]) =>
    shape("grant:Grant", { database: "appdb", role, schema: "gt", objectType, privileges });
  const future = (role: string, objectType: string, privileges: string[]) =>
    shape("defaultPrivileges:DefaultPrivileges", {
      database: "appdb",
      owner: "gtown",
      role,
      schema: "gt",
      objectType,
      privileges,
    });
  const role = (tier: string, name: string, connectionLimit: number, statementTimeout: number) =>
    shape("role:Role", {
      name,
      login: true,
      password: secret(scramVerifier(name, fakePassword(`gatherer-${tier}-password`))),
      superuser: false,
      createDatabase: false,
      createRole: false,
      connectionLimit,
      roles: [],
      searchPaths: ["gt", "extensions"],
      statementTimeout,
      idleInTransactionSessionTimeout: 60_000,
    });

  it("is exactly these resources", () => {
    const declared = dev.resources.filter(
      ({ name, type }) => name.startsWith("gatherer-") && type.startsWith("postgresql:"),
    );
    expect(Object.fromEntries(declared.map(({ name, type, inputs }) => [name, { type, inputs }]))).toEqual({
      "gatherer-owner": role("owner", "gtown", 2, 0),
      "gatherer-app": role("app", "gtapp", 5, 30_000),
      "gatherer-user": role("user", "gtuser", 2, 30_000),
      "gatherer-schema": shape("schema:Schema", { name: "gt", owner: "platform", database: "appdb" }),
      "gatherer-public-future-routines": shape("defaultPrivileges:DefaultPrivileges", {
        database: "appdb",
        owner: "gtown",
        role: "public",
        objectType: "routine",
        privileges: [],
      }),
      "gatherer-gtapp-future-tables": future("gtapp", "table", ["SELECT", "INSERT", "UPDATE", "DELETE"]),
      "gatherer-gtapp-future-sequences": future("gtapp", "sequence", ["USAGE", "SELECT"]),
      "gatherer-gtapp-future-routines": future("gtapp", "routine", ["EXECUTE"]),
      "gatherer-gtuser-future-tables": future("gtuser", "table", ["SELECT"]),
      "gatherer-gtuser-future-sequences": future("gtuser", "sequence", ["SELECT"]),
      "gatherer-gtown-schema": grant("gtown", "schema", ["USAGE", "CREATE"]),
      "gatherer-gtapp-schema": grant("gtapp", "schema", ["USAGE"]),
      "gatherer-gtapp-tables": grant("gtapp", "table", ["SELECT", "INSERT", "UPDATE", "DELETE"]),
      "gatherer-gtapp-sequences": grant("gtapp", "sequence", ["USAGE", "SELECT"]),
      "gatherer-gtapp-routines": grant("gtapp", "routine", ["EXECUTE"]),
      "gatherer-gtuser-schema": grant("gtuser", "schema", ["USAGE"]),
      "gatherer-gtuser-tables": grant("gtuser", "table", ["SELECT"]),
      "gatherer-gtuser-sequences": grant("gtuser", "sequence", ["SELECT"]),
    });
  });

  it("makes its grants one after the other, the first when roles and schema are there", () => {
    const chain = dev.resources.filter(
      ({ name, type }) => name.startsWith("gatherer-") && /Grant$|DefaultPrivileges$/.test(type),
    );
    expect(chain[0]?.dependsOn).toEqual(["gatherer-app", "gatherer-owner", "gatherer-schema", "gatherer-user"]);
    for (const [index, { dependsOn }] of chain.entries()) {
      if (index > 0) expect(dependsOn).toEqual([chain[index - 1]?.name]);
    }
  });

  it("replaces default privileges by deleting first: created first, nothing would be left of them", () => {
    const future = dev.resources.filter(({ type }) => type.endsWith("DefaultPrivileges"));
    expect(future.every(({ deleteBeforeReplace }) => deleteBeforeReplace === true)).toBe(true);
  });

  it("waits for the platform SQL, which waits for the cluster", () => {
    expect(dev.resource("gatherer-owner").dependsOn).toEqual(["foundation"]);
    expect(dev.resource("gatherer-schema").dependsOn).toEqual(["foundation"]);
    expect(dev.resource("foundation-apply").dependsOn).toEqual(["cluster"]);
    expect(dev.resource("tiers-apply").dependsOn).toEqual(services.map(({ name }) => name).sort());
    expect(dev.resource("server").dependsOn).toEqual(["cluster"]);
  });
});

describe("reads", () => {
  it("of two services in each other make no cycle: each grant follows the chain of its schema and the reader's roles", async () => {
    const mutual = services
      .slice(0, 2)
      .map((service, index) => ({ ...service, reads: [services[1 - index]?.name ?? ""] }));
    const program = await runProgram(readStackSettings("dev"), mutual);
    const reads = program.resources.filter(({ name }) => name.startsWith("reads-"));
    const inGatherer = [
      "agapp-future-tables",
      "agapp-future-sequences",
      "aguser-future-tables",
      "aguser-future-sequences",
    ]
      .concat(["agapp-schema", "agapp-tables", "agapp-sequences", "aguser-schema", "aguser-tables", "aguser-sequences"])
      .map((key) => `reads-gatherer-${key}`);
    expect(reads.map(({ name }) => name).filter((name) => name.startsWith("reads-gatherer-"))).toEqual(inGatherer);
    expect(reads).toHaveLength(20);
    expect(program.resource("reads-gatherer-agapp-future-tables").dependsOn).toEqual([
      "aggregator-app",
      "aggregator-user",
      "gatherer-gtuser-sequences",
    ]);
    for (const [index, name] of inGatherer.entries()) {
      if (index > 0) expect(program.resource(name).dependsOn).toEqual([inGatherer[index - 1]]);
    }
    expect(program.resource("reads-gatherer-agapp-tables").inputs).toEqual({
      database: "appdb",
      role: "agapp",
      schema: "gt",
      objectType: "table",
      privileges: ["SELECT"],
    });
  });
});

describe("what holds data or access", () => {
  const holds = ({ type, name }: { type: string; name: string }) =>
    /Volume$|Schema$|RandomPassword$/.test(type) || (/Role$/.test(type) && name !== "server");

  it("is protected and retained in prod, and nothing else is", () => {
    const kept = prod.resources.filter(({ protect, retainOnDelete }) => protect === true && retainOnDelete === true);
    expect(kept.map(({ name }) => name)).toEqual(prod.resources.filter(holds).map(({ name }) => name));
    expect(kept).toHaveLength(1 + 1 + services.length * (3 + 3 + 1));
  });

  it("goes with destroy in dev", () => {
    expect(dev.resources.filter(({ protect, retainOnDelete }) => protect === true || retainOnDelete === true)).toEqual(
      [],
    );
  });

  it("goes with the volume: nothing of the database is dropped one by one", () => {
    const inDatabase = dev.resources.filter(({ type }) => type.startsWith("postgresql:"));
    expect(inDatabase.filter(({ deletedWith }) => deletedWith !== "cluster-primary-data")).toEqual([]);
  });
});

describe("the primary", () => {
  it("keeps its data in the named volume, at the mount the image declares", () => {
    const { inputs } = prod.resource("cluster-primary");
    expect(inputs["volumes"]).toEqual([{ volumeName: "pg16-primary-data", containerPath: "/var/lib/postgresql/data" }]);
    expect(inputs["envs"]).toContain("PGDATA=/var/lib/postgresql/data/pgdata");
    expect(prod.resource("cluster-primary-data")).toMatchObject({
      inputs: { name: "pg16-primary-data" },
      ignoreChanges: ["labels", "driver", "driverOpts"],
    });
  });

  it("listens on the configured address only, and is stopped gracefully", () => {
    expect(prod.resource("cluster-primary").inputs).toMatchObject({
      name: "pg16-primary",
      ports: [{ internal: 5432, external: 5432, ip: "127.0.0.1" }],
      destroyGraceSeconds: 60,
      restart: "unless-stopped",
    });
  });

  it("has no secret where docker inspect shows it", () => {
    const { inputs } = prod.resource("cluster-primary");
    const password = fakePassword("cluster-superuser-password");
    expect(JSON.stringify(inputs["envs"])).not.toContain(password);
    expect(JSON.stringify(inputs["command"])).not.toContain(password);
    expect(JSON.stringify(inputs["uploads"])).toContain(password);
  });
});

describe("secrets", () => {
  it("stay secret in every input that has one and in the outputs", async () => {
    for (const { name, shown } of dev.resources) {
      expect(JSON.stringify(shown), name).not.toMatch(/0123456789abcdefghijklmnop|SCRAM-SHA-256\$/);
    }
    expect(dev.resource("cluster-primary").shown).toMatchObject({ uploads: [{ content: "[secret]" }] });
    for (const output of ["urls", "superuserPassword"]) {
      expect(await pulumi.isSecret(dev.outputs[output] as pulumi.Output<unknown>), output).toBe(true);
    }
  });
});
