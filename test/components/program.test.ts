import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { drillFolder } from "../../agent/drills/results";
import { planAccess } from "../../components/access/plan";
import { scramVerifier } from "../../components/access/scram";
import { agentFile } from "../../components/backup/agent-file";
import { declaredKept } from "../../components/lifecycle/refusals";
import { roleType, schemaType, volumeType } from "../../components/lifecycle/state";
import { dockerNames } from "../../components/naming";
import { readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { newKey, publicKeyOf, selfSigned, signed } from "../support/certificates";
import { fakePassword, resolved, runProgram, type Program } from "../support/mocks";

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

  it("waits for the platform SQL, which waits for the primary", () => {
    expect(dev.resource("gatherer-owner").dependsOn).toEqual(["foundation"]);
    expect(dev.resource("gatherer-schema").dependsOn).toEqual(["foundation"]);
    expect(dev.resource("logins-apply").dependsOn).toEqual(["primary"]);
    expect(dev.resource("foundation-apply").dependsOn).toEqual(["logins"]);
    expect(dev.resource("tiers-apply").dependsOn).toEqual(services.map(({ name }) => name).sort());
    expect(dev.resource("server").dependsOn).toEqual(["logins"]);
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
    expect(program.resource("keeper").dependsOn).toContain("reads");
    expect(program.resource("reads-gatherer-agapp-future-tables").dependsOn).toEqual([
      "aggregator-app",
      "aggregator-user",
      "gatherer-gtuser-sequences",
      // Before it reads, it has lost what readers may not call.
      "tiers",
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
    (/Volume$|Schema$/.test(type) && !["cluster-config", "backup-drill-volume"].includes(name)) ||
    (/Role$/.test(type) && name !== "server");

  it("is what the program refuses to lose, by name", () => {
    for (const program of [dev, prod]) {
      const names = dockerNames("pg16");
      const plan = planAccess(services, { database: "appdb", extensions: [] });
      const declared = program.resources
        .filter(({ type }) => [volumeType, schemaType, roleType].includes(type))
        .map(({ type, name, inputs }) => ({ type, name, called: inputs["name"] }));
      const sorted = (kept: readonly object[]) => kept.map((item) => JSON.stringify(item)).sort();
      expect(sorted(declaredKept(plan, names))).toEqual(sorted(declared));
    }
  });

  it("is reached by a destroy only after the keeper, which stands on everything and is protected in prod", () => {
    const before = ["backup", "certificates", "cluster", "logins-check", "passwords", "primary", "replica", "tiers"];
    expect(prod.resource("keeper")).toMatchObject({ protect: true, dependsOn: before });
    expect(dev.resource("keeper")).toMatchObject({ protect: false, dependsOn: before });
    // A component stands for its children: one without any would be a leaf beside the keeper.
    const parents = new Set(prod.resources.map(({ parent }) => parent));
    const childless = prod.resources.filter(({ type, name }) => type.startsWith("centraldb:") && !parents.has(name));
    expect(childless.map(({ name }) => name)).toEqual(["keeper"]);
    // What the five stand on in their turn is everything there is.
    const reached = new Set<string>();
    const reach = (name: string) => {
      if (reached.has(name)) return;
      reached.add(name);
      for (const { name: other } of prod.resources.filter(({ parent }) => parent === name)) reach(other);
      for (const other of prod.resource(name).dependsOn) reach(other);
    };
    reach("keeper");
    reach("server");
    expect(prod.resources.map(({ name }) => name).filter((name) => !reached.has(name))).toEqual([]);
  });

  it("is protected and retained in prod, and nothing else is", () => {
    const kept = prod.resources.filter(({ protect, retainOnDelete }) => protect === true && retainOnDelete === true);
    expect(kept.map(({ name }) => name)).toEqual(prod.resources.filter(holds).map(({ name }) => name));
    expect(kept).toHaveLength(3 + services.length * (3 + 1));
  });

  it("goes with destroy in dev", () => {
    expect(dev.resources.filter((resource) => resource.protect === true || resource.retainOnDelete === true)).toEqual(
      [],
    );
  });

  it("goes with the volume: nothing of the database is dropped one by one", () => {
    const inDatabase = dev.resources.filter(({ type }) => type.startsWith("postgresql:"));
    expect(inDatabase.filter(({ deletedWith }) => deletedWith !== "cluster-primary-data")).toEqual([]);
  });
});

describe("the nodes", () => {
  const container = (program: Program, node: string) => program.resource(`${node}-container`).inputs;

  it("are two of one kind: nothing but names, volume, slot and port differs", () => {
    const swapped = JSON.stringify(container(prod, "replica"))
      .replaceAll(/pg16([-_])(primary|replica)/g, (_, dash: string, node: string) => {
        return `pg16${dash}${node === "primary" ? "replica" : "primary"}`;
      })
      .replace('"external":5433', '"external":5432')
      .replace("127.0.0.1:5433", "127.0.0.1:5432");
    expect(JSON.parse(swapped)).toEqual(container(prod, "primary"));
  });

  it("are the same containers whichever of them is the primary", async () => {
    const failedOver = await runProgram({ ...readStackSettings("prod"), primaryNode: "replica" }, services);
    for (const node of ["primary", "replica"]) expect(container(failedOver, node)).toEqual(container(prod, node));
    expect(failedOver.resource("foundation-apply").inputs).toEqual(prod.resource("foundation-apply").inputs);
    expect(failedOver.resource("server").inputs).toEqual({ ...prod.resource("server").inputs, port: "5433" });
    expect(failedOver.resource("logins-apply").inputs).toEqual(prod.resource("logins-apply").inputs);
    expect(failedOver.resource("logins-apply").dependsOn).toEqual(["replica"]);
    expect(failedOver.resource("primary-container").dependsOn).toEqual(["cluster", "logins"]);
  });

  it("keep their data in named volumes, at the mount the image declares, and read the configuration only", () => {
    expect(container(prod, "primary")["volumes"]).toEqual([
      { volumeName: "pg16-primary-data", containerPath: "/var/lib/postgresql/data" },
      { volumeName: "pg16-config", containerPath: "/etc/centraldb", readOnly: true },
    ]);
    expect(container(prod, "primary")["envs"]).toContain("PGDATA=/var/lib/postgresql/data/pgdata");
    for (const name of ["cluster-primary-data", "cluster-replica-data", "cluster-config"]) {
      expect(prod.resource(name).ignoreChanges).toEqual(["labels", "driver", "driverOpts"]);
    }
  });

  it("listen on the configured address only, have the page's memory, and are stopped gracefully", () => {
    expect(container(prod, "primary")).toMatchObject({
      name: "pg16-primary",
      ports: [{ internal: 5432, external: 5432, ip: "127.0.0.1" }],
      memory: 16_384,
      memorySwap: 16_384,
      stopSignal: "SIGINT",
      stopTimeout: 300,
      destroyGraceSeconds: 300,
      restart: "unless-stopped",
      user: "postgres",
    });
  });

  it("name in a label every setting that only a restart brings, and no other", () => {
    const labels = container(prod, "primary")["labels"] as readonly { label: string; value: string }[];
    expect(labels).toContainEqual({ label: "centraldb.restart.shared_buffers", value: "shared_buffers = 4GB" });
    expect(labels).toContainEqual({ label: "centraldb.restart.max_connections", value: "max_connections = 200" });
    expect(labels.map(({ label }) => label)).not.toContain("centraldb.restart.work_mem");
  });

  it("start one after the other: the standby when role repl is there, and both when configuration and data are", () => {
    expect(prod.resource("primary-container").dependsOn).toEqual(["cluster"]);
    expect(prod.resource("replica-container").dependsOn).toEqual(["cluster", "logins"]);
    expect(prod.resource("logins-apply").dependsOn).toEqual(["primary"]);
  });

  it("have no secret where docker inspect shows it", () => {
    for (const node of ["primary", "replica"]) {
      expect(JSON.stringify(container(prod, node))).not.toContain("0123456789abcdefghijklmnop");
    }
  });
});

describe("the drill's container", () => {
  const container = (key: "backup" | "backup-drill", program = prod) => program.resource(`${key}-container`).inputs;

  it("reaches nothing and nobody, has no password, reads the backups only, and may take what is left", () => {
    expect(container("backup-drill")).toEqual({
      name: "pg16-drill",
      image: container("backup")["image"],
      entrypoints: ["node", agentFile, "drill", "serve"],
      user: "postgres",
      volumes: [
        { volumeName: "pg16-backups", containerPath: "/backups", readOnly: true },
        { volumeName: "pg16-drill", containerPath: "/drill" },
      ],
      networkMode: "none",
      capabilities: { drops: ["ALL"] },
      securityOpts: ["no-new-privileges"],
      init: true,
      memory: 4096,
      memorySwap: 4096,
      ulimits: [{ name: "data", soft: 2 * 1024 ** 3, hard: 2 * 1024 ** 3 }],
      cpuShares: 256,
      labels: container("backup")["labels"],
      restart: "unless-stopped",
      logDriver: "json-file",
      logOpts: { "max-size": "20m", "max-file": "5" },
      healthcheck: {
        ...{ tests: ["CMD", "node", agentFile, "drill", "health"], interval: "30s", timeout: "15s" },
        ...{ retries: 3, startPeriod: "1m0s" },
      },
      stopTimeout: 30,
      destroyGraceSeconds: 30,
      wait: false,
    });
  });

  it("has its results read by the backup's, which is on the network", () => {
    expect(container("backup")["volumes"]).toEqual([
      { volumeName: "pg16-backups", containerPath: "/backups" },
      { volumeName: "pg16-config", containerPath: "/etc/centraldb", readOnly: true },
      { volumeName: "pg16-drill", containerPath: drillFolder, readOnly: true },
    ]);
    expect(container("backup")["networksAdvanced"]).toEqual([{ name: "pg16", aliases: ["pg16-backup"] }]);
  });

  it("is the same in both stacks, and made when the other can be", () => {
    expect(container("backup-drill", dev)).toEqual(container("backup-drill"));
    expect(prod.resource("backup-drill-container").dependsOn).toEqual(["tiers"]);
    expect(prod.resource("backup-drill-volume").ignoreChanges).toEqual(["labels", "driver", "driverOpts"]);
  });
});

describe("the seed job", () => {
  it("is not run again, whatever changes: with the data gone it would make an empty primary", () => {
    expect(prod.resource("cluster-seed").ignoreChanges).toEqual(["create", "update", "stdin", "environment"]);
    expect(prod.resource("cluster-seed").inputs).toMatchObject({ update: "true" });
  });
});

const gathererIs = (changes: Partial<Service>): readonly Service[] =>
  services.map((service) => (service.name === "gatherer" ? { ...service, ...changes } : service));

describe("a frozen service", () => {
  it("differs in its logins, and in whose sessions are ended", async () => {
    const program = await runProgram(readStackSettings("dev"), gathererIs({ lifecycle: "frozen" }));
    const changed = dev.resources.filter(
      ({ name, inputs }) => JSON.stringify(program.resource(name).inputs) !== JSON.stringify(inputs),
    );
    expect(changed.map(({ name }) => name).sort()).toEqual([
      ...[
        "backup-settings",
        "cluster-configuration",
        "gatherer-app",
        "gatherer-owner",
        "gatherer-user",
        "logins-apply",
        "logins-check-run",
        "tiers-apply",
      ],
    ]);
    expect(program.resource("gatherer-app").inputs).toEqual({ ...dev.resource("gatherer-app").inputs, login: false });
    expect(program.resource("tiers-apply").shown).toMatchObject({
      environment: { END_SESSIONS_OF: "gtown gtapp gtuser" },
    });
  });

  it("is the only one whose roles and schema pulumi may let go of, and it leaves them on the server", async () => {
    for (const stack of ["dev", "prod"] as const) {
      const program = await runProgram(readStackSettings(stack), gathererIs({ lifecycle: "frozen" }));
      const ofDatabase = program.resources.filter(({ type }) => type.startsWith("postgresql:"));
      const isGatherers = ({ name }: { readonly name: string }) => name.startsWith("gatherer-");
      const [frozen, others] = [ofDatabase.filter(isGatherers), ofDatabase.filter((one) => !isGatherers(one))];
      expect(frozen).toHaveLength(3 + 1 + 14);
      expect(frozen.filter(({ protect, retainOnDelete }) => protect === true || retainOnDelete !== true)).toEqual([]);
      const kept = others.filter(({ type }) => [schemaType, roleType].includes(type));
      expect(kept.filter(({ protect, retainOnDelete }) => (protect && retainOnDelete) !== (stack === "prod"))).toEqual(
        [],
      );
    }
  });
});

describe("a retired service", () => {
  it("has no resource, no output and no place in what the agent is told; the others are what they were", async () => {
    const retired = gathererIs({ lifecycle: "retired", retiredBackups: { dev: "20261126T170000Z-logical" } });
    const program = await runProgram(readStackSettings("dev"), retired);
    const without = await runProgram(
      readStackSettings("dev"),
      services.filter(({ name }) => name !== "gatherer"),
    );
    const shown = ({ resources }: Program) => resources.map(({ name, inputs }) => JSON.stringify([name, inputs]));
    expect(shown(program)).toEqual(shown(without));
    expect(program.resources.filter(({ name }) => name.startsWith("gatherer"))).toEqual([]);
  });
});

describe("a password's rotation", () => {
  it("makes that one anew and touches no other", async () => {
    const program = await runProgram({ ...readStackSettings("dev"), passwordRotation: { postgres: 2 } }, services);
    const rotated = program.resources.filter(
      ({ type, inputs }) => type.endsWith("RandomPassword") && inputs["keepers"],
    );
    expect(rotated.map(({ name, inputs }) => [name, inputs["keepers"]])).toEqual([
      ["postgres-password", { rotation: "2" }],
    ]);
  });

  it("in the registry is that of a service's three roles, or of one", async () => {
    const keepersWith = async (rotation: (Service["rotation"] & object) | number) => {
      const registry = services.map((service) => (service.name === "gatherer" ? { ...service, rotation } : service));
      const program = await runProgram(readStackSettings("dev"), registry);
      return program.resources.flatMap(({ name, inputs }) => (inputs["keepers"] ? [[name, inputs["keepers"]]] : []));
    };
    expect(await keepersWith(1)).toEqual([]);
    expect(await keepersWith({ app: 3 })).toEqual([["gatherer-app-password", { rotation: "3" }]]);
    expect(await keepersWith(2)).toEqual([
      ["gatherer-owner-password", { rotation: "2" }],
      ["gatherer-app-password", { rotation: "2" }],
      ["gatherer-user-password", { rotation: "2" }],
    ]);
  });

  it("is followed by a login of every role that may log in, with its new password, which nobody sees", () => {
    const check = dev.resource("logins-check-run");
    expect(check.shown).toMatchObject({ stdin: "[secret]" });
    expect(check.dependsOn).toEqual(["tiers"]);
    expect(JSON.stringify(check.inputs)).toContain(JSON.stringify(fakePassword("gatherer-app-password")).slice(1, -1));
  });
});

describe("certificates", () => {
  const tlsNames = (program: Program) =>
    program.resources
      .filter(({ type }) => type.startsWith("tls:"))
      .map(({ name }) => name.replace("certificates-", ""));

  it("are the program's own authority's: a key, a request and a certificate for each node", () => {
    expect(tlsNames(prod).sort()).toEqual([
      ...["authority", "authority-key", "client", "client-key"],
      ...["primary", "primary-key", "primary-request", "replica", "replica-key", "replica-request"],
    ]);
    expect(prod.resource("certificates-replica-request").inputs).toMatchObject({
      dnsNames: ["pg16-replica", "localhost"],
      ipAddresses: ["127.0.0.1", "::1"],
    });
    expect(prod.resource("certificates-replica").inputs).toMatchObject({
      validityPeriodHours: 365 * 24,
      earlyRenewalHours: 90 * 24,
    });
  });

  it("are given ones, and then no authority is made; their keys are secret", async () => {
    const key = newKey();
    const authority = selfSigned(key, "own", true);
    const names = { commonName: "own", dnsNames: ["pg16-primary", "pg16-replica", "localhost"] };
    const certificate = signed(
      { ...names, publicKeyPem: publicKeyOf(key), ipAddresses: ["127.0.0.1", "::1"] },
      key,
      authority,
    );
    const certificates = { authority, primary: { certificate, key }, replica: { certificate, key } };
    const program = await runProgram({ ...readStackSettings("prod"), certificates }, services);
    expect(tlsNames(program)).toEqual(["client-key", "client"]);
    expect(await resolved(program.outputs["caCertificate"] as pulumi.Output<string>)).toBe(authority);
    const shown = JSON.stringify(program.resources.map((resource) => resource.shown));
    expect(shown).not.toContain("PRIVATE KEY");
    expect(JSON.stringify(program.resource("cluster-configuration").inputs)).toContain("PRIVATE KEY");
  });

  it("are what the provider and the platform's SQL verify the servers with, in every stack", () => {
    for (const program of [dev, prod]) {
      const { sslrootcert, sslmode } = program.resource("server").inputs;
      expect(sslmode).toBe("verify-full");
      expect(sslrootcert).toContain("BEGIN CERTIFICATE");
      expect(JSON.stringify(program.resource("tiers-apply").inputs)).toContain(JSON.stringify(sslrootcert));
    }
  });
});

describe("secrets", () => {
  it("stay secret in every input that has one and in the outputs", async () => {
    for (const { name, shown } of dev.resources) {
      expect(JSON.stringify(shown), name).not.toMatch(/0123456789abcdefghijklmnop|SCRAM-SHA-256\$|PRIVATE KEY/);
    }
    expect(dev.resource("cluster-configuration").shown).toMatchObject({ stdin: "[secret]" });
    expect(dev.resource("cluster-seed").shown).toMatchObject({ stdin: "[secret]" });
    for (const output of ["connections", "superuserPassword"]) {
      expect(await pulumi.isSecret(dev.outputs[output] as pulumi.Output<unknown>), output).toBe(true);
    }
  });
});
