import { describe, expect, it } from "vitest";
import { memoryOf } from "../../components/cluster/configuration/memory";
import { memoryDemand, memoryWarning } from "../../components/cluster/configuration/memory-demand";
import { renderLookHba, renderPgHba, renderPgIdent } from "../../components/cluster/configuration/pg-hba";
import {
  postgresqlConf,
  renderPostgresqlConf,
  settingsReadAtStart,
} from "../../components/cluster/configuration/postgresql-conf";
import { platformSettings, restartSettings } from "../../components/cluster/configuration/restart-settings";
import { restartLabels, restartNotices } from "../../components/cluster/restart-notice";
import type { Settings } from "../../components/settings-rules";
import type { NodeName } from "../../components/naming";
import { readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";

const conf = (changes: Partial<Parameters<typeof postgresqlConf>[0]> = {}) =>
  postgresqlConf({ memoryMiB: 16_384, cpus: 4, maxConnections: 200, postgresqlSettings: {}, ...changes });
const options = (memoryMiB: number, postgresqlSettings = {}) => ({
  memoryMiB,
  cpus: 4,
  maxConnections: 200,
  postgresqlSettings,
});
const valueOf = (name: string, changes: Parameters<typeof conf>[0] = {}) =>
  conf(changes).find((setting) => setting.name === name)?.value;

describe("the memory of a node", () => {
  it("of 16 GB is divided as the page says", () => {
    expect(valueOf("shared_buffers")).toBe("4GB");
    expect(valueOf("effective_cache_size")).toBe("12GB");
    expect(valueOf("work_mem")).toBe("64MB");
    expect(valueOf("maintenance_work_mem")).toBe("1GB");
    expect(valueOf("max_connections")).toBe("200");
  });

  it.each([
    [512, [128, 384, 4, 32, 256, 256]],
    [1024, [256, 768, 4, 64, 512, 256]],
    [3000, [750, 2250, 11, 187, 750, 750]],
    [16_384, [4096, 12_288, 64, 1024, 4096, 4096]],
    [65_536, [16_384, 49_152, 256, 2048, 16_384, 8192]],
    [524_288, [32_768, 393_216, 256, 2048, 131_072, 8192]],
  ])("of %i MiB keeps the ratios between floor and ceiling", (memoryMiB, expected) => {
    const memory = memoryOf(memoryMiB);
    expect([
      memory.sharedBuffersMiB,
      memory.effectiveCacheSizeMiB,
      memory.workMemMiB,
      memory.maintenanceWorkMemMiB,
      memory.processLimitMiB,
      memory.sharedMemoryMiB,
    ]).toEqual(expected);
  });

  it("suffices for the twelve services at 16 GB and at dev's size: their limits count, not max_connections", () => {
    expect(memoryDemand(options(16_384), services)).toEqual({
      memoryMiB: 16_384,
      demandMiB: 4096 + 128 * 64 + 3 * 256,
      sum: "4096 MiB shared_buffers + 128 connections × 64 MiB work_mem + 3 autovacuum workers × 256 MiB autovacuum_work_mem",
    });
    expect(memoryWarning(memoryDemand(options(16_384), services))).toBeUndefined();
    expect(memoryWarning(memoryDemand(options(1024), services))).toBeUndefined();
  });

  it("that does not suffice is warned of, with the sum and the cures", () => {
    const greedy = services.map((service) => ({ ...service, connectionLimits: { app: 10 } }));
    expect(memoryWarning(memoryDemand(options(16_384), greedy))).toBe(
      "centraldb:memoryMiB: the settings could take 16896 MiB of a node's 16384 (4096 MiB shared_buffers + 188 connections " +
        "× 64 MiB work_mem + 3 autovacuum workers × 256 MiB autovacuum_work_mem): give it more, lower connection limits " +
        "in services/registry.ts, or set work_mem in centraldb:postgresqlSettings",
    );
  });

  it.each([
    ["work_mem", "32MB", 4096 + 128 * 32 + 3 * 256],
    ["work_mem", "1048576", 4096 + 128 * 1024 + 3 * 256],
    ["shared_buffers", "131072", 1024 + 128 * 64 + 3 * 256],
    ["autovacuum_work_mem", "0.5GB", 4096 + 128 * 64 + 3 * 512],
    ["autovacuum_max_workers", "10", 4096 + 128 * 64 + 10 * 256],
  ])("counts what a stack says otherwise: %s = %s", (name, value, demandMiB) => {
    expect(memoryDemand(options(16_384, { [name]: value }), services).demandMiB).toBe(demandMiB);
  });
});

describe("postgresql.conf", () => {
  it("has each setting once, with its reason", () => {
    const names = conf().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(conf().filter(({ reason }) => reason.length < 5)).toEqual([]);
    expect(renderPostgresqlConf(conf())).toContain("shared_buffers = '4GB'  # RAM / 4\n");
  });

  it("reserves for operators, backup and monitoring what the connection budget keeps from the services", () => {
    expect(valueOf("superuser_reserved_connections")).toBe("3");
    expect(valueOf("reserved_connections")).toBe("17");
  });

  it("takes the stack's own settings over the platform's, whatever their case, and adds the others", () => {
    const own = conf({ postgresqlSettings: { Work_Mem: "8MB", "auto_explain.log_min_duration": "1s" } });
    expect(own.filter(({ name }) => name === "work_mem")).toEqual([
      { name: "work_mem", value: "8MB", reason: "centraldb:postgresqlSettings" },
    ]);
    expect(own.at(-1)).toEqual({
      name: "auto_explain.log_min_duration",
      value: "1s",
      reason: "centraldb:postgresqlSettings",
    });
  });

  it("quotes values as the file's syntax wants it", () => {
    const text = renderPostgresqlConf([{ name: "log_line_prefix", value: "it's \\ %m # ", reason: "test" }]);
    expect(text).toContain("log_line_prefix = 'it''s \\\\ %m # '  # test\n");
  });

  it("tells what only a restart brings", () => {
    const names = settingsReadAtStart(conf({ postgresqlSettings: { huge_pages: "on", work_mem: "8MB" } })).map(
      ({ name }) => name,
    );
    expect(names).toEqual(expect.arrayContaining(["shared_buffers", "max_connections", "huge_pages"]));
    expect(names).not.toContain("work_mem");
    // Which of them a stack can choose at all, once.
    expect(restartSettings.filter((name) => name in platformSettings && name !== "max_connections")).toEqual([]);
  });
});

describe("the notice of a restart", () => {
  const prod = readStackSettings("prod");
  const node = (settings: Settings, name: NodeName = "primary", state = "running") => ({
    id: "0123",
    state,
    labels: restartLabels(settings, name),
    stack: "prod",
    network: "n1",
  });
  const running = { primary: node(prod), replica: node(prod, "replica") };

  it("is none where nothing runs, nothing changes, or a reload suffices", () => {
    expect(restartNotices({}, prod, "prod")).toEqual([]);
    expect(restartNotices(running, prod, "prod")).toEqual([]);
    expect(restartNotices(running, { ...prod, postgresqlSettings: { work_mem: "8MB" } }, "prod")).toEqual([]);
  });

  it("names servers in their order and settings with both values", () => {
    const changed = { ...prod, maxConnections: 300, postgresqlSettings: { huge_pages: "on" } };
    expect(restartNotices(running, changed, "prod")).toEqual([
      "up restarts pg16-primary, then pg16-replica: huge_pages = default → on, max_connections = 200 → 300",
    ]);
    expect(restartNotices({ primary: node(changed) }, prod, "prod")).toEqual([
      "up restarts pg16-primary: huge_pages = on → default, max_connections = 300 → 200",
    ]);
    expect(restartNotices(running, { ...prod, primaryNode: "replica", image: "postgres:16.15" }, "prod")).toEqual([
      "up restarts pg16-replica, then pg16-primary: image = postgres:16.14-bookworm → postgres:16.15",
    ]);
    expect(restartNotices(running, { ...prod, replicaPort: 6433 }, "prod")).toEqual([
      "up restarts pg16-replica: address = 127.0.0.1:5433 → 127.0.0.1:6433",
    ]);
  });

  it("names a server that is there and does not run: pulumi would call it unchanged", () => {
    expect(
      restartNotices(
        { primary: node(prod, "primary", "restarting"), replica: node(prod, "replica", "exited") },
        prod,
        "prod",
      ),
    ).toEqual([
      "pg16-primary is restarting, which pulumi up does not change: docker logs pg16-primary",
      "pg16-replica is exited, which pulumi up does not change: npm run ops -- start --stack prod",
    ]);
  });
});

describe("pg_hba.conf", () => {
  const rules = (tls: Settings["tls"], frozen: readonly string[] = []) =>
    renderPgHba({ tls }, frozen)
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split("  #")[0]);

  it("is these lines: nobody is trusted, replication is for repl only, services reach appdb only, the superuser what is restored beside it too", () => {
    expect(rules("offered")).toEqual([
      "local all all peer map=operators",
      "local replication repl peer map=operators",
      "host all /own_restore_[0-9a-f]{8}$ all reject",
      "hostssl replication repl samenet scram-sha-256",
      "host all repl all reject",
      "host all app samenet scram-sha-256",
      "host postgres,/^appdb_ postgres all scram-sha-256",
      "host appdb all all scram-sha-256",
    ]);
    expect(renderPgIdent()).toContain("operators root all\noperators postgres all\n");
  });

  it("lets operators in only, by a socket or encrypted, where the server is restored and has the rights of then", () => {
    const lines = renderLookHba()
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines.map((line) => line.replace(/ +#.*/, ""))).toEqual([
      "local all all peer map=operators",
      "hostssl appdb postgres,app all scram-sha-256",
    ]);
  });

  it("refuses the roles of frozen services before all else", () => {
    expect(rules("required", ["gtown", "gtapp", "gtuser"])[0]).toBe("host all gtown,gtapp,gtuser all reject");
    expect(rules("required", ["gtown"]).slice(1)).toEqual(rules("required"));
  });

  it("asks for encryption of whoever comes from outside the container, where the stack requires it", () => {
    expect(rules("required").slice(3)).toEqual([
      "hostssl replication repl samenet scram-sha-256",
      "host all repl all reject",
      "hostssl all app samenet scram-sha-256",
      "host all app 127.0.0.1/32 scram-sha-256",
      "host all app ::1/128 scram-sha-256",
      "hostssl postgres,/^appdb_ postgres all scram-sha-256",
      "host postgres,/^appdb_ postgres 127.0.0.1/32 scram-sha-256",
      "host postgres,/^appdb_ postgres ::1/128 scram-sha-256",
      "hostssl appdb all all scram-sha-256",
      "host appdb all 127.0.0.1/32 scram-sha-256",
      "host appdb all ::1/128 scram-sha-256",
    ]);
  });
});
