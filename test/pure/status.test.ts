import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { setAsideComment } from "../../components/access/set-aside";
import { readStack } from "../../ops/stack-file";
import { withCause, type NodeStatus, type ServerStatus } from "../../ops/status/collect";
import { problemsOf } from "../../ops/status/problems";
import { renderStatus } from "../../ops/status/render";
import { services } from "../../services/registry";

const stack = readStack("prod");
function daysFromNow(days: number): string {
  return new Date(Date.now() + days * 86_400_000 + 60_000 * Math.sign(days)).toISOString();
}
const server: ServerStatus = {
  version: "16.14",
  role: "primary",
  startedAt: new Date(Date.now() - 3 * 3600_000).toISOString(),
  maxConnections: 200,
  connections: [
    { role: "gtapp", used: 3, limit: 5 },
    { role: "app", used: 1, limit: -1 },
  ],
  standbys: [{ name: "pg16-replica", state: "streaming", lagBytes: 20_480, lagSeconds: 0.25 }],
  replayWaitSeconds: 0,
  slots: [{ name: "pg16_replica", active: true, walStatus: "reserved" }],
  databaseBytes: 12 * 1024 ** 2,
  walBytes: 64 * 1024 ** 2,
  schemas: [{ name: "gt", objects: 300, materializedViews: 100 }],
  passwords: ["gtown", "gtapp", "gtuser", "postgres", "app", "repl"].map((role, index) => ({
    role,
    since: daysFromNow(-index - 1),
    ours: true,
  })),
  oldestTransaction: { role: "gtapp", seconds: 12 },
  hiddenLogins: 0,
  setAside: [],
  transactionIdAge: 1000,
  longestAutovacuum: 60,
  notificationQueue: 0,
  predicateLocks: 0,
  dependencies: [],
  pendingRestart: [],
  alteredBySystem: [],
};
const certificates = { server: daysFromNow(300), authority: daysFromNow(3000) };
const files = {
  schemas: { gt: 5 * 1024 ** 3 },
  catalogs: 10 * 1024 ** 2,
  orphans: { bytes: 8192, files: 1, largest: ["base/5/16384"] },
};
const node = (changes: Partial<NodeStatus>): NodeStatus => ({
  node: "primary",
  container: "pg16-primary",
  state: "running",
  restarts: 0,
  published: "127.0.0.1:5432",
  certificates,
  files,
  ...changes,
});
const standby: ServerStatus = {
  ...server,
  role: "standby",
  connections: [{ role: "gtapp", used: 1, limit: 5 }],
  standbys: [],
  slots: [],
};
const replica = node({ node: "replica", container: "pg16-replica", published: "127.0.0.1:5433", server: standby });
const well = [node({ server }), replica];
const untold: NodeStatus = {
  ...{ node: "primary", container: "pg16-primary", state: "running", restarts: 0, published: "127.0.0.1:5432" },
  ...{ server, certificates },
};

describe("status", () => {
  it("says what a service may have to do with a server that does not answer", () => {
    expect(withCause("could not connect")).toBe("could not connect");
    expect(withCause("psql: error: timeout expired")).toMatch(
      /timeout expired; a service may hold what every login needs/,
    );
    expect(withCause("ERROR:  canceling statement due to conflict with recovery")).toMatch(
      /recovery; it is behind, and ends whoever reads what it replays: a service may .* end-sessions ends it/,
    );
  });

  it("knows what is set aside as the restore marks it", () => {
    const sql = readFileSync(join(__dirname, "..", "..", "ops", "status", "server.sql"), "utf8");
    expect(sql).toContain(`= '${setAsideComment}'`);
  });

  it("is one screen: nodes, lag, connections and sizes", () => {
    const lines = renderStatus({ nodes: well, services: services.slice(0, 2), stack, problems: [], more: [] }).split(
      "\n",
    );
    expect(lines).toEqual([
      "stack prod, PostgreSQL 16.14",
      "",
      "node     container     state    role     listens on      up for     restarts  lag           certificate",
      "primary  pg16-primary  running  primary  127.0.0.1:5432  3 h 0 min  0                       300 d",
      "replica  pg16-replica  running  standby  127.0.0.1:5433  3 h 0 min  0         20 kB, 0.3 s  300 d",
      "",
      "All is well.",
      "",
      "service     schema  owner connections  app connections  user connections  size       oldest password",
      "gatherer    gt      0 of 2             4 of 5           0 of 2            5120 MB    3 d 0 h",
      "aggregator  ag      0 of 2             0 of 5           0 of 2            no schema  ?",
      "",
      "connections  4 of 200 on the primary",
      "database     12 MB",
      "catalogs     10 MB of it: names, comments and definitions of all",
      "WAL          64 MB",
      "passwords    postgres 4 d 0 h, app 5 d 0 h, repl 6 d 0 h",
      "slots        pg16_replica active, reserved",
    ]);
  });

  it("shows what a server has answered as what it is", () => {
    const problems = ["pg16-primary does not answer: \u001b[2Jall is well\u202e"];
    const lines = renderStatus({ nodes: well, services: [], stack, problems, more: [] }).split("\n");
    expect(lines).toContain("  pg16-primary does not answer: \\x1b[2Jall is well\\u202e");
  });

  it.each<[string, readonly NodeStatus[], readonly string[]]>([
    ["nothing", well, []],
    [
      "a standby that waits for a reader",
      [node({ server }), { ...replica, server: { ...standby, replayWaitSeconds: 150 } }],
      [
        "pg16-replica has waited for a session of its own for 2 min, and replays nothing: npm run ops -- end-sessions --stack prod " +
          "ends a service's",
      ],
    ],
    [
      "a node that was never made",
      [node({ state: "missing", error: "no such container" }), replica],
      [
        "pg16-primary does not exist: npm run up -- prod",
        "no primary answers: bring back the node that was it, or promote the standby; see README, When the primary is gone",
      ],
    ],
    [
      "a stopped replica",
      [
        node({ server: { ...server, standbys: [] } }),
        node({ node: "replica", container: "pg16-replica", state: "exited", error: "the container is exited" }),
      ],
      ["pg16-replica is exited: npm run ops -- start --stack prod"],
    ],
    [
      "a replica that does not stream",
      [node({ server: { ...server, standbys: [] } }), replica],
      ["no standby streams from pg16-primary: its log and the standby's say why"],
    ],
    [
      "an old primary that must not serve",
      [
        node({ state: "restarting", error: "refuses to start: pg16-replica is the primary" }),
        node({ ...replica, server: { ...server, standbys: [] } }),
      ],
      [
        "pg16-primary does not answer: refuses to start: pg16-replica is the primary (docker logs pg16-primary)",
        'centraldb:primaryNode: it is "primary", but pg16-replica is the primary; pulumi config set centraldb:primaryNode replica, or the same in the stack\'s file',
      ],
    ],
    [
      "a lost slot, a pending restart and an ALTER SYSTEM",
      [
        node({
          server: {
            ...server,
            slots: [{ name: "pg16_replica", active: false, walStatus: "lost" }],
            pendingRestart: ["shared_buffers"],
            alteredBySystem: ["work_mem"],
          },
        }),
        replica,
      ],
      [
        "slot pg16_replica on pg16-primary has lost WAL its standby needs: the standby must be copied anew",
        "pg16-primary needs a restart for shared_buffers: docker restart pg16-primary",
        "ALTER SYSTEM on pg16-primary hides what the stack says of work_mem: ALTER SYSTEM RESET",
      ],
    ],
    [
      "a failover the config does not know of",
      [node({ server: standby }), node({ ...replica, server })],
      [
        'centraldb:primaryNode: it is "primary", but pg16-primary is a standby and pg16-replica is the primary; pulumi config set centraldb:primaryNode replica, or the same in the stack\'s file',
      ],
    ],
    [
      "what a service does to all",
      [
        node({
          server: {
            ...server,
            passwords: [{ role: "gtapp", since: daysFromNow(-1), ours: false }],
            oldestTransaction: { role: "gtuser", seconds: 2 * 3600 },
            hiddenLogins: 4,
            transactionIdAge: 1_200_000_000,
            longestAutovacuum: 7 * 3600,
            notificationQueue: 0.8,
            predicateLocks: 0.9,
            dependencies: [
              { schema: "gt", number: 20_200_000 },
              { schema: "lg", number: 900_000 },
            ],
            schemas: [
              { name: "gt", objects: 100_000, materializedViews: 0 },
              { name: "lg", objects: 500, materializedViews: 101 },
            ],
          },
        }),
        replica,
      ],
      [
        "the password of gtapp is not the stack's any more: another rotation in services/registry.ts sets a new one",
        "schema gt has 100000 tables, indexes, functions and types, which makes its DDL, plans, the audit and backups slow: its owner drops them",
        "views, checks and so on in schema gt depend on columns some 20.2 million times, and with sixteen million no dump of anybody can be made: its owner drops those that name many",
        "schema lg has 101 materialized views, and with thousands no dump of anybody can be made: its owner drops them down to 100, npm run ops -- audit names them",
        "gtuser has a transaction open for 2 h 0 min, which holds back VACUUM for all: npm run ops -- end-sessions --stack prod",
        "4 logins are under way and hold back VACUUM: npm run ops -- end-sessions ends those of a service",
        "1200 million transaction ids are in use of 2,000: VACUUM does not keep up, or is held back",
        "an autovacuum worker is busy for 7 h 0 min: pg_stat_activity says with which table",
        "the queue of NOTIFY is 80 % full: a listener is in a long transaction",
        "the table of predicate locks is 90 % full, which SERIALIZABLE transactions of all share: pg_locks says whose they are, npm run ops -- end-sessions --stack prod ends them",
      ],
    ],
    [
      "a service that is restored in its place, or was when that was killed",
      [node({ server: { ...server, setAside: ["gt_before_20261127t101500"] } }), replica],
      [
        "what gt had is gt_before_20261127t101500, since a restore in its place has begun: where none is under way any more, " +
          "npm run ops -- restore swap gt_before_20261127t101500 --stack prod puts it back",
      ],
    ],
    [
      "roles that a restore has shut out, and nothing else of it",
      [node({ server: { ...server, connections: [{ role: "gtapp", used: 0, limit: 0 }] } }), replica],
      [
        "gtapp may have no connection (limit 0): where no restore is under way, npm run ops -- audit --fix-sql --stack prod " +
          "has what lets them in",
      ],
    ],
    ["a disk that is not told of", [untold, replica], ["pg16-primary does not say in time what is on its disk"]],
    [
      "what a crash has left on the disk",
      [
        node({
          server,
          files: {
            ...files,
            orphans: { bytes: 307_232_768, files: 7, largest: ["base/16384/16915", "base/16384/16915_fsm"] },
          },
        }),
        replica,
      ],
      [
        "pg16-primary has 293 MB in 7 files of no table, which a crash has left: base/16384/16915, base/16384/16915_fsm, …; " +
          "see README, What can go wrong",
      ],
    ],
    [
      "certificates that end soon, before a client notices",
      [node({ server, certificates: { server: daysFromNow(29), authority: daysFromNow(179) } }), replica],
      [
        "the certificate of pg16-primary ends in 29 days: npm run up -- prod renews it, or centraldb:certificates has it",
        "the authority of pg16-primary's certificate ends in 179 days: see README, Certificates",
      ],
    ],
  ])("names %s", (_, nodes, problems) => {
    expect(problemsOf(nodes, stack)).toEqual(problems);
  });
});
