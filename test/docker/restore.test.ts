import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { planAccess } from "../../components/access/plan";
import { agentFile } from "../../components/backup/agent-file";
import { docker } from "../../components/cluster/docker-cli";
import { listBackups } from "../../ops/backup/list";
import { originStatement } from "../../ops/restore/databases";
import { compare, restoreBeside } from "../../ops/restore/restore";
import { dropKept, requireKept } from "../../ops/restore/drop";
import { restoreInPlace, serviceOfKept, swapSchemas } from "../../ops/restore/in-place";
import type { Platform } from "../../ops/restore/platform";
import { steps, type Steps } from "../../ops/restore/steps";
import { swapDatabases } from "../../ops/restore/swap";
import { choose } from "../../ops/restore/wanted";
import { services } from "../../services/registry";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { furnish } from "../support/furnish";
import { waitFor } from "../support/wait";
import { platformOn, restorableCluster, type RestorableCluster } from "../support/restore";

// What `npm run ops -- restore` does on a running stack: beside, in place, swapped, undone.
let cluster: TestCluster;
let agent: BackupAgent;
let as: RestorableCluster["as"];
let inDatabase: RestorableCluster["inDatabase"];
let platform: Platform;
/** What pg_dump says of the database that is dumped. */
let source: readonly string[];
let said: string[] = [];
let progress: Steps;

beforeAll(async () => {
  ({ cluster, agent, as, inDatabase } = await restorableCluster());
  await as("gtown", furnish);
  expect(agent.run("now", "logical").output).toContain("is proven");
  source = text("appdb");
  expect(source.length).toBeGreaterThan(1000);
  await as(
    "gtown",
    "TRUNCATE gt_child; DELETE FROM gt_kinds WHERE id > 10; INSERT INTO gt_kinds (c, n) SELECT 'red', 1 FROM generate_series(1, 5)",
  );
  platform = platformOn(cluster);
});
afterAll(() => cluster.clean());

const count = (database = "appdb") => inDatabase(database, "SELECT count(*) FROM gt.gt_kinds");
/** What pg_dump makes of a database, its rights too; without the words it makes up anew each time. */
const text = (name: string) =>
  cluster
    .exec("primary", "pg_dump", "-U", "postgres", "-d", name)
    .stdout.split("\n")
    .filter((line) => !/^\\(un)?restrict /.test(line));

const chosen = (service?: string, table?: string) => choose(agent.list().backups, cluster.plan, { service, table });

function begin(): void {
  said = [];
  progress = steps(9, (line) => said.push(line));
}

describe("a restore of everything", () => {
  it("makes a database beside, of which everything is compared, and keeps the services' own as it is", async () => {
    begin();
    await restoreBeside(platform, chosen(), "appdb_restored_20261127t000001", progress);
    expect(said.join("\n")).toMatch(
      /tables with \d+ rows, \d+ sequences, rights: as they were; every role may do what the plan says/,
    );
    expect(text("appdb_restored_20261127t000001")).toEqual(source);
    expect(count()).toBe("15");
    expect(cluster.ask("primary", "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%restore%'")).toBe("0");
  });

  it("takes the place of the services' own, with URLs and logins as they were, on both servers", async () => {
    begin();
    const reading = await cluster.login("replica", "gtuser");
    const writing = await cluster.login("primary", "gtapp");
    const kept = await swapDatabases(platform, "appdb_restored_20261127t000001", progress);
    expect(said.join("\n")).toMatch(/nobody was let in for \d+\.\d s/);
    await expect(writing.query("SELECT")).rejects.toThrow();
    await cluster.caughtUp("primary");
    await expect(reading.query("SELECT")).rejects.toThrow();
    expect(await as("gtapp", "SELECT count(*)::int AS n FROM gt_kinds")).toEqual([{ n: 1000 }]);
    expect(count(kept)).toBe("15");
    // Nobody of a service goes on in what it was.
    await expect(cluster.login("primary", "gtapp", undefined, kept)).rejects.toThrow();
    const replica = await cluster.login("replica", "gtuser");
    expect((await replica.query("SELECT count(*)::int AS n FROM gt_kinds")).rows).toEqual([{ n: 1000 }]);
    await replica.end();
    begin();
    await swapDatabases(platform, kept, progress);
    expect(count()).toBe("15");
  });
});

const hiddenLogins =
  "SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND pid NOT IN (SELECT pid FROM pg_stat_activity)";

describe("a restore of one service", () => {
  it("in its place lets it in again when it is compared, keeps what it had, and is undone", async () => {
    begin();
    const service = platform.plan.services.find(({ code }) => code === "gt");
    if (service === undefined) throw new Error("no gt");
    // Let in before the service is kept out, and no session yet.
    const { host, port, database, passwords } = cluster.target("primary");
    const late = new Client({
      ...{ host, port, database, user: "gtown", password: passwords.get("gtown") },
      options: "-c post_auth_delay=20",
    });
    late.on("error", () => undefined);
    const letIn = late.connect().catch(() => undefined);
    await vi.waitFor(() => {
      expect(cluster.ask("primary", hiddenLogins)).toBe("1");
    }, 10_000);
    await restoreInPlace(platform, chosen("gt"), service, progress);
    await letIn;
    await expect(late.query("SELECT 1")).rejects.toThrow();
    expect(await as("gtapp", "SELECT count(*)::int AS n FROM gt_kinds")).toEqual([{ n: 1000 }]);
    const kept = /gt_before_\w+/.exec(said.join("\n"))?.[0] ?? "";
    expect(serviceOfKept(platform.plan, kept)).toBe(service);
    begin();
    await swapSchemas(platform, service, kept, progress);
    expect(await as("gtapp", "SELECT count(*)::int AS n FROM gt_kinds")).toEqual([{ n: 15 }]);
  });

  it("of one table brings its rows into a database beside", async () => {
    begin();
    await restoreBeside(platform, chosen("gt", "gt.gt_part"), "appdb_restored_20261127t000002", progress);
    expect(
      cluster
        .exec(
          "primary",
          "psql",
          "-XAtU",
          "postgres",
          "-d",
          "appdb_restored_20261127t000002",
          "-c",
          "SELECT count(*) FROM gt.gt_part",
        )
        .output.trim(),
    ).toBe("100");
    expect(count("appdb_restored_20261127t000002")).toBe("0");
    await expect(swapDatabases(platform, "appdb_restored_20261127t000002", progress)).rejects.toThrow(
      "appdb_restored_20261127t000002 has only gt",
    );
    // As one is that was killed before it was compared.
    const half = { is: "restored", backup: null, only: null, complete: false } as const;
    cluster.ask("primary", originStatement("appdb_restored_20261127t000002", half));
    await expect(swapDatabases(platform, "appdb_restored_20261127t000002", progress)).rejects.toThrow(
      "was not restored to its end, or is not what was dumped",
    );
  });
});

describe("a service with so many tables, in so many nights, that a docker command could not print their names", () => {
  const folder = "/backups/backups";
  let id = "";
  beforeAll(() => {
    id = chosen().backup.id;
    const { logical, ...manifest } = agent.manifest(id);
    const none = { rows: 0, hash: "0".repeat(16), constraints: 0, indexes: 0, triggers: 0 };
    // A letter that takes six in JSON.
    const nameOf = (n: number) => `gt."gt_${String(n).padStart(5, "0")}${String.fromCharCode(1).repeat(55)}"`;
    const more = Object.fromEntries(Array.from({ length: 6_000 }, (_, n) => [nameOf(n), none]));
    const large = { ...manifest, logical: { ...logical, tables: { ...logical?.tables, ...more } } };
    const file = `${folder}/${id}/manifest.json`;
    agent.shell(`cp -p ${file} /tmp/manifest`);
    const write = ["exec", "--interactive", "--user", "root", agent.container, "sh", "-c", `cat > ${file}`];
    expect(docker(write, { input: JSON.stringify(large, null, 2) })).toMatchObject({ status: 0 });
    agent.shell(
      `cd ${folder}; for day in $(seq 1 30); do night=$(date -u -d "-$day days" +%Y%m%dT020000Z)-logical
         cp -a ${id} $night; sed -i "s/${id}/$night/" $night/manifest.json; echo $night >> /tmp/nights; done`,
    );
    const written = Number(agent.shell(`cat ${folder}/*/manifest.json | wc -c`));
    expect(written).toBeGreaterThan(64 * 1024 ** 2);
  });
  afterAll(() => {
    agent.shell(`cd ${folder}; rm -r $(cat /tmp/nights) /tmp/nights; cp -p /tmp/manifest ${id}/manifest.json`);
  });

  it("keeps nobody from listing the backups, where it is counted, and asked for its tables", () => {
    const { backups, broken } = listBackups(platform.stack);
    expect(broken).toEqual([]);
    expect(backups).toHaveLength(33);
    const tables = agent.run("contents", id, "--service", "gt").stdout.trim().split("\n");
    expect(tables).toContainEqual(`gt."gt_05999${"\\x01".repeat(55)}": 0 rows`);
    const { tables: counted, sequences } = backups.at(-1)?.logical?.counts["gt"] ?? { tables: 0, sequences: 0 };
    expect(counted).toBeGreaterThan(6_000);
    expect(counted + sequences).toBe(tables.length);
    expect(agent.run("contents", id, "--service", "zz").output).toBe(`${id} has no zz; it has gt, ag, sc\n`);
  });

  it("keeps nobody from a restore of another, nor from being told how others differ", async () => {
    begin();
    const service = platform.plan.services.find(({ code }) => code === "sc");
    if (service === undefined) throw new Error("no sc");
    const wanted = choose(listBackups(platform.stack).backups, cluster.plan, { service: "sc" });
    expect(wanted.backup.id).toBe(id);
    const kept = await restoreInPlace(platform, wanted, service, progress);
    cluster.ask("primary", `DROP SCHEMA ${kept}`);
    expect(said.join("\n")).toContain("0 tables with 0 rows, 0 sequences, rights: as they were");
    await as("scown", "CREATE TABLE sc_late (id int)");
    const differing = compare(platform, chosen(), "appdb");
    await as("scown", "DROP TABLE sc_late");
    expect(differing.filter((sentence) => sentence.includes("gt"))).toHaveLength(101);
    expect(differing.at(100)).toMatch(/^and 59\d\d more of gt$/);
    expect(differing.slice(101)).toEqual(["sc.sc_late was not in the dump's snapshot"]);
  });

  it("is what an agent that is older than the program cannot say: the next up helps", () => {
    agent.shell(
      `cp -p ${agentFile} /tmp/agent; echo 'process.stdout.write("x".repeat(65 * 1024 ** 2))' > ${agentFile}`,
    );
    const list = () => listBackups(platform.stack);
    expect(list).toThrow(
      `${agent.container} cannot be asked: it prints more than 64 MiB, as of an agent that is older than this program: npm run up -- dev`,
    );
    agent.shell(`cat /tmp/agent > ${agentFile}`);
    expect(list).not.toThrow();
  });
});

describe("a service that cannot be set aside", () => {
  it("has what it had, and is let in again", async () => {
    begin();
    const service = platform.plan.services.find(({ code }) => code === "sc");
    if (service === undefined) throw new Error("no sc");
    await as("scown", "CREATE TABLE sc_here (id int); INSERT INTO sc_here VALUES (7)");
    const holder = await cluster.login("primary", "postgres");
    await holder.query(
      "BEGIN; COMMENT ON SCHEMA sc IS 'held'; SELECT FROM pg_namespace WHERE nspname = 'sc' FOR UPDATE",
    );
    await expect(restoreInPlace(platform, chosen("sc"), service, progress)).rejects.toThrow("lock timeout");
    await holder.query("ROLLBACK");
    await holder.end();
    expect(await as("scapp", "SELECT id FROM sc_here")).toEqual([{ id: 7 }]);
    expect(cluster.ask("primary", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sc\\_%'")).toBe("0");
  });
});

describe("a service whose code does something else where it is restored", () => {
  const trap = `
    CREATE FUNCTION ag.is_well() RETURNS bool LANGUAGE plpgsql AS $$
      BEGIN
        IF session_user <> current_user THEN EXECUTE 'CREATE TEXT SEARCH DICTIONARY ag.d (TEMPLATE = simple)'; END IF;
        RETURN true;
      END $$;
    CREATE TABLE ag_trap (id int CHECK (ag.is_well()));
    INSERT INTO ag_trap VALUES (1)`;
  beforeAll(async () => {
    await as("agown", trap);
    expect(agent.run("now", "logical").output).toContain("is proven");
  });

  it("meets the guard; of the database beside nothing is left", async () => {
    begin();
    const name = "appdb_restored_20261127t000003";
    await expect(restoreBeside(platform, chosen(), name, progress)).rejects.toThrow(
      /ag cannot be restored: .*CREATE TEXT SEARCH DICTIONARY is not for agown[^]*the others: --without ag$/,
    );
    expect(said.join("\n")).toMatch(/sc in \d/);
    expect(cluster.ask("primary", `SELECT count(*) FROM pg_database WHERE datname = '${name}'`)).toBe("0");
    expect(cluster.ask("primary", "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%restore%'")).toBe("0");
  });

  it("has what it had where it cannot be restored in its place, and is let in again", async () => {
    begin();
    const service = platform.plan.services.find(({ code }) => code === "ag");
    if (service === undefined) throw new Error("no ag");
    await expect(restoreInPlace(platform, chosen("ag"), service, progress)).rejects.toThrow("ag cannot be restored");
    expect(said.join("\n")).toContain("put back what ag had");
    expect(await as("agapp", "SELECT count(*)::int AS n FROM ag_trap")).toEqual([{ n: 1 }]);
  });

  it("is let in again also where another service holds what was restored", async () => {
    begin();
    const service = platform.plan.services.find(({ code }) => code === "ag");
    if (service === undefined) throw new Error("no ag");
    // nextval() of a table fails, and keeps its lock until the transaction ends.
    const holder = await cluster.login("primary", "gtown");
    const holding = holder
      .query(
        `SET statement_timeout = 0;
         DO $$ DECLARE one oid; BEGIN LOOP
           FOR one IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ '^ag' AND c.relkind = 'r' LOOP
             BEGIN PERFORM nextval(one::regclass); EXCEPTION WHEN OTHERS THEN NULL; END;
           END LOOP; PERFORM pg_sleep(0.01);
         END LOOP; END $$`,
      )
      .catch(() => undefined);
    await expect(restoreInPlace(platform, chosen("ag"), service, progress)).rejects.toThrow("ag cannot be restored");
    expect(await as("agapp", "SELECT count(*)::int AS n FROM ag_trap")).toEqual([{ n: 1 }]);
    const [, left = ""] =
      /what was restored is still kept: npm run ops -- restore drop (ag_failed_\w+) --stack dev/.exec(
        said.join("\n"),
      ) ?? [];
    expect(left).not.toBe("");
    cluster.ask("primary", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gtown'");
    await holding;
    await dropKept(platform, await requireKept(platform, left), progress);
    expect(cluster.ask("primary", `SELECT count(*) FROM pg_namespace WHERE nspname ~ '^ag_(failed|dropped)'`)).toBe(
      "0",
    );
  });
});

describe("a restore in place, meanwhile an up", () => {
  it("gives nothing back that up has taken away: neither a right to another's rows nor the logins", async () => {
    begin();
    const three = services.slice(0, 3);
    const reading = three.map((one) => (one.code === "gt" ? { ...one, reads: ["aggregator"] } : one));
    const frozen = three.map((one) => (one.code === "gt" ? { ...one, lifecycle: "frozen" as const } : one));
    expect(await cluster.up({}, reading)).toMatchObject({ status: 0 });
    await as(
      "gtown",
      `CREATE FUNCTION gt.sleeps() RETURNS bool LANGUAGE plpgsql AS $$
         BEGIN IF session_user <> current_user THEN PERFORM pg_sleep(20); END IF; RETURN true; END $$;
       CREATE TABLE gt_sleeps (id int CHECK (gt.sleeps()));
       INSERT INTO gt_sleeps VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const begun = { ...platformOn(cluster), plan: planAccess(reading, { database: "appdb", extensions: [] }) };
    const service = begun.plan.services.find(({ code }) => code === "gt");
    if (service === undefined) throw new Error("no gt");
    // up may end the login that restores: it is then what the restore puts back that counts.
    const restoring = restoreInPlace(begun, chosen("gt"), service, progress).catch(() => undefined);
    const sleeping =
      "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'gtown_restore_%' AND wait_event = 'PgSleep'";
    await waitFor(() => cluster.ask("primary", sleeping) === "1", 60);
    const may =
      "SELECT has_schema_privilege('gtapp', 'ag', 'USAGE'), rolcanlogin FROM pg_roles WHERE rolname = 'gtapp'";
    expect(cluster.ask("primary", may)).toBe("t|t");
    expect(await cluster.up({}, frozen)).toMatchObject({ status: 0 });
    expect(cluster.ask("primary", may)).toBe("f|f");
    await restoring;
    expect(said.join("\n")).toContain("let gt in");
    expect(cluster.ask("primary", may)).toBe("f|f");
    expect(await cluster.up({}, three)).toMatchObject({ status: 0 });
  });
});
