import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectionOf, endpointsOf } from "../../components/access/endpoints";
import { nodeData, noData, primaryContradiction, type NodeRole } from "../../components/cluster/primary-check";
import { dockerNames, type NodeName } from "../../components/naming";
import { formatConnection } from "../../ops/connect";
import { readStackSettings } from "../../ops/stack-file";

const prod = readStackSettings("prod");

describe("endpoints", () => {
  it("are the primary's for writes and the standby's for reads, from the host and from the network", () => {
    const primary = { host: { host: "127.0.0.1", port: 5432 }, network: { host: "pg16-primary", port: 5432 } };
    const replica = { host: { host: "127.0.0.1", port: 5433 }, network: { host: "pg16-replica", port: 5432 } };
    const verified = { database: "appdb", sslmode: "verify-full" };
    expect(endpointsOf(prod)).toEqual({ ...verified, rw: primary, ro: replica });
    expect(endpointsOf({ ...prod, primaryNode: "replica" })).toEqual({ ...verified, rw: replica, ro: primary });
    expect(endpointsOf({ ...prod, tls: "offered" }).sslmode).toBe("prefer");
    expect(endpointsOf({ ...prod, bindAddress: "0.0.0.0" }).rw.host.host).toBe("127.0.0.1");
  });
});

describe("a connection", () => {
  const connection = connectionOf("gtapp", "app", "abc", endpointsOf(prod));

  it("has every form a program may need", () => {
    expect(connection).toEqual({
      host: "127.0.0.1",
      port: 5432,
      database: "appdb",
      user: "gtapp",
      password: "abc",
      sslmode: "verify-full",
      url: "postgresql://gtapp:abc@127.0.0.1:5432/appdb?sslmode=verify-full",
      multiHostUrl:
        "postgresql://gtapp:abc@127.0.0.1:5432,127.0.0.1:5433/appdb?target_session_attrs=read-write&sslmode=verify-full",
      network: {
        host: "pg16-primary",
        port: 5432,
        url: "postgresql://gtapp:abc@pg16-primary:5432/appdb?sslmode=verify-full",
        multiHostUrl:
          "postgresql://gtapp:abc@pg16-primary:5432,pg16-replica:5432/appdb?target_session_attrs=read-write&sslmode=verify-full",
      },
    });
    expect(connectionOf("gtuser", "user", "abc", endpointsOf(prod)).multiHostUrl).toContain("=prefer-standby");
    const offered = connectionOf("gtapp", "app", "abc", endpointsOf({ ...prod, tls: "offered" }));
    expect(offered.url).toBe("postgresql://gtapp:abc@127.0.0.1:5432/appdb");
  });

  it("is escaped so that any password comes back whole", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (password) => {
        const { url } = connectionOf("gtapp", "app", password, endpointsOf(prod));
        expect(decodeURIComponent(new URL(url).password)).toBe(password);
      }),
    );
  });

  it("is printed as URL, as variables or as JSON, as the host or the network sees it", () => {
    expect(formatConnection(connection, "url", false)).toBe(connection.url);
    expect(formatConnection(connection, "multi-host-url", true)).toBe(connection.network.multiHostUrl);
    expect(formatConnection(connection, "env", true)).toBe(
      [
        "PGHOST=pg16-primary",
        "PGPORT=5432",
        "PGDATABASE=appdb",
        "PGUSER=gtapp",
        "PGPASSWORD=abc",
        "PGSSLMODE=verify-full",
        "DATABASE_URL='postgresql://gtapp:abc@pg16-primary:5432/appdb?sslmode=verify-full'",
      ].join("\n"),
    );
    expect(formatConnection({ ...connection, sslrootcert: "/it's/ca.crt" }, "env", false)).toContain(
      "\nPGSSLMODE=verify-full\nPGSSLROOTCERT='/it'\\''s/ca.crt'\n",
    );
    expect(JSON.parse(formatConnection(connection, "json", false))).toEqual(connection);
  });
});

describe("names", () => {
  it("start with the prefix and stay within 63 bytes, a slot's without dashes", () => {
    const names = dockerNames(`${"a-".repeat(15)}a`);
    const all = [
      names.network,
      names.configVolume,
      ...[names.primary, names.replica].flatMap((node) => Object.values<string>({ ...node })),
    ];
    expect(all.filter((name) => name.length > 63)).toEqual([]);
    expect(names.replica.slot).toMatch(/^[a-z0-9_]+$/);
    expect(dockerNames("pg16").replica).toEqual({
      container: "pg16-replica",
      volume: "pg16-replica-data",
      slot: "pg16_replica",
    });
  });
});

describe("centraldb:primaryNode", () => {
  const check = (primaryNode: NodeName, primary: NodeRole, replica: NodeRole) =>
    primaryContradiction(
      { ...prod, primaryNode },
      {
        primary: { role: primary, timeline: 1, running: primary !== "unknown" },
        replica: { role: replica, timeline: 1, running: replica !== "unknown" },
      },
    );

  it.each<[NodeName, NodeRole, NodeRole]>([
    ["primary", "primary", "standby"],
    ["primary", "primary", "unknown"],
    ["primary", "unknown", "standby"],
    ["primary", "unknown", "unknown"],
    ["replica", "standby", "primary"],
    ["replica", "unknown", "primary"],
  ])("%s agrees with a %s and a %s", (...given) => {
    expect(check(...given)).toBeUndefined();
  });

  it.each<[NodeName, NodeRole, NodeRole, string]>([
    [
      "primary",
      "unknown",
      "primary",
      'it is "primary", but pg16-replica is the primary; pulumi config set centraldb:primaryNode replica, or the same in the stack\'s file',
    ],
    [
      "primary",
      "standby",
      "primary",
      'it is "primary", but pg16-primary is a standby and pg16-replica is the primary; pulumi config set centraldb:primaryNode replica, or the same in the stack\'s file',
    ],
    [
      "replica",
      "primary",
      "standby",
      'it is "replica", but pg16-replica is a standby and pg16-primary is the primary; pulumi config set centraldb:primaryNode primary, or the same in the stack\'s file',
    ],
    [
      "primary",
      "standby",
      "unknown",
      'it is "primary", but pg16-primary is a standby; promote a node, or start the one that is the primary',
    ],
  ])("%s is refused with a %s and a %s", (node, primary, replica, message) => {
    expect(check(node, primary, replica)).toBe(`centraldb:primaryNode: ${message}`);
  });

  // After a failover both were stopped: only the timeline says which of them has the later rows.
  it("is refused where it names the one whose rows went on elsewhere, though neither runs", () => {
    const stopped = { role: "primary", running: false } as const;
    const data = { primary: { ...stopped, timeline: 1 }, replica: { ...stopped, timeline: 2 } };
    expect(primaryContradiction({ ...prod, primaryNode: "replica" }, data)).toBeUndefined();
    expect(primaryContradiction({ ...prod, primaryNode: "primary" }, data)).toBe(
      'centraldb:primaryNode: it is "primary", but pg16-primary was the primary before and pg16-replica is the primary; ' +
        "pulumi config set centraldb:primaryNode replica, or the same in the stack's file",
    );
  });

  it.each([
    ["in production", "primary"],
    ["shut down", "primary"],
    ["in crash recovery", "primary"],
    ["in archive recovery", "standby"],
    ["shut down in recovery", "standby"],
  ] as const)("reads of pg_control %s that it is a %s", (state, role) => {
    const text = `Database cluster state:               ${state}\nLatest checkpoint's TimeLineID:       3\n`;
    expect(nodeData(text, true)).toEqual({ role, timeline: 3, running: true });
    // Promoted, and no checkpoint since.
    expect(nodeData(`${text}Min recovery ending loc's timeline:   4\n`, true).timeline).toBe(4);
    expect(nodeData(`${text}Min recovery ending loc's timeline:   0\n`, true).timeline).toBe(3);
    expect(nodeData("pg_controldata: error: could not open file", false)).toEqual(noData);
  });

  it("is refused whatever it says when both are primaries", () => {
    for (const node of ["primary", "replica"] as const) {
      expect(check(node, "primary", "primary")).toContain("both pg16-primary and pg16-replica are primaries");
    }
  });
});
