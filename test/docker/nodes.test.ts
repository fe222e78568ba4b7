import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffectOnProbes, testEffectOnStandby } from "../../ops/effect-test/effect-test";
import { createProbes } from "../../ops/effect-test/probes";
import { platformSettings, restartSettings } from "../../components/cluster/configuration/restart-settings";
import type * as pgHba from "../../components/cluster/configuration/pg-hba";
import type { NodeName } from "../../components/naming";
import type { Settings } from "../../components/settings-rules";
import { services } from "../../services/registry";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { run } from "../support/run";
import { waitFor } from "../support/wait";

// One cluster that is never broken: what it gives, and how its configuration changes.
const registry = services.slice(0, 3);
const nodes = ["primary", "replica"] as const;
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await prepareCluster(registry);
  expect(await cluster.up()).toEqual({ status: 0, stdout: "", output: "" });
});
afterAll(() => cluster.clean());

const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" });
const inspect = (node: NodeName, format: string) =>
  execFileSync("docker", ["inspect", "-f", format, cluster.names[node].container], { encoding: "utf8" }).trim();
/** Changes whenever the server was started again, in this container or another. */
const startedAt = (node: NodeName) => cluster.ask(node, "SELECT pg_postmaster_start_time()");

describe("two nodes", () => {
  it("are a primary with checksums and a standby that streams from it through a slot of its own", () => {
    expect(cluster.ask("primary", "SELECT pg_is_in_recovery()")).toBe("f");
    expect(cluster.ask("replica", "SELECT pg_is_in_recovery()")).toBe("t");
    expect(cluster.ask("primary", "SHOW data_checksums")).toBe("on");
    expect(cluster.ask("primary", "SELECT application_name || ' ' || state FROM pg_stat_replication")).toBe(
      `${cluster.names.replica.container} streaming`,
    );
    expect(cluster.ask("primary", "SELECT slot_name || ' ' || active FROM pg_replication_slots")).toBe(
      `${cluster.names.replica.slot} true`,
    );
  });

  it("keep their data in the named volume and have no other", () => {
    for (const node of nodes) {
      const mounts = JSON.parse(inspect(node, "{{json .Mounts}}")) as readonly { Name: string; Destination: string }[];
      expect(mounts.map(({ Name, Destination }) => `${Name} ${Destination}`).sort()).toEqual([
        `${cluster.names.configVolume} /etc/centraldb`,
        `${cluster.names[node].volume} /var/lib/postgresql/data`,
      ]);
    }
  });

  it("have no password where docker inspect or a process list shows it", () => {
    const passwords = [...cluster.target("primary").passwords.values()];
    expect(passwords.length).toBe(2 + 9);
    for (const node of nodes) {
      const processes = execFileSync("docker", ["top", cluster.names[node].container, "-eo", "pid,args"], {
        encoding: "utf8",
      });
      expect(processes).toContain("postgres");
      for (const password of passwords) expect(inspect(node, "{{json .}}") + processes).not.toContain(password);
    }
  });

  it("cannot lose a query that asks for too much memory but that query", async () => {
    const owner = await cluster.login("primary", "gtown");
    const greedy =
      "SET work_mem = '100GB'; SELECT count(*) FROM (SELECT DISTINCT repeat(i::text, 400) FROM generate_series(1, 3e6) i) t";
    await expect(owner.query(greedy)).rejects.toThrow("out of memory");
    expect((await owner.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await owner.end();
    expect(cluster.logs("primary")).not.toContain("server process was terminated");
  });
});

describe("the list of settings that only a restart brings", () => {
  it("is PostgreSQL's own", () => {
    const names = cluster.ask("primary", "SELECT string_agg(name, ',') FROM pg_settings WHERE context = 'postmaster'");
    const ours = [...restartSettings, ...Object.keys(platformSettings)];
    expect(names.split(",").filter((name) => !ours.includes(name))).toEqual([]);
    expect(restartSettings.filter((name) => !names.split(",").includes(name))).toEqual([]);
  });
});

describe("who gets in", () => {
  const refusal = async (node: NodeName, ...login: [role: string, password?: string, to?: string]) => {
    try {
      await (await cluster.login(node, ...login)).end();
      return "let in";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };

  it.each(nodes)("on %s a role with its password, in appdb, and nobody else", async (node) => {
    expect(await refusal(node, "gtapp")).toBe("let in");
    expect(await refusal(node, "postgres")).toBe("let in");
    expect(await refusal(node, "gtapp", "wrong")).toBe('password authentication failed for user "gtapp"');
    expect(await refusal(node, "nobody", "wrong")).toBe('password authentication failed for user "nobody"');
    expect(await refusal(node, "gtapp", undefined, "postgres")).toContain("no pg_hba.conf entry for host");
    expect(await refusal(node, "postgres", undefined, "template1")).toContain("no pg_hba.conf entry for host");
    expect(await refusal(node, "repl")).toContain("pg_hba.conf rejects connection for host");
  });

  it.each(nodes)(
    "inside %s the system users root and postgres as any role, others as none, and 127.0.0.1 is not trusted",
    (node) => {
      const psql = (...options: string[]) => ["psql", "-XAt", "-d", "appdb", "-c", "SELECT current_user", ...options];
      const as = (user: string, ...command: string[]) => {
        const args = ["exec", "--user", user, cluster.names[node].container, ...command];
        try {
          return execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
        } catch (error) {
          return (error as { stderr: string }).stderr;
        }
      };
      expect(as("root", ...psql("-U", "app"))).toBe("app");
      expect(as("postgres", ...psql("-U", "gtuser"))).toBe("gtuser");
      expect(as("nobody", ...psql("-U", "app"))).toContain('Peer authentication failed for user "app"');
      expect(as("nobody", ...psql("-U", "nobody"))).toContain('Peer authentication failed for user "nobody"');
      expect(as("root", ...psql("-U", "app", "-w", "-h", "127.0.0.1"))).toContain("no password supplied");
    },
  );
});

describe("the page's commands", () => {
  const app = (query: string) => {
    const { output, status } = cluster.exec("primary", "psql", "-XAt", "-U", "app", "-d", "appdb", "-c", query);
    expect(status, output).toBe(0);
    return output.trim();
  };

  it("dump the database as app, and copy it as repl", () => {
    const dump = cluster.exec("primary", "pg_dump", "-U", "app", "-d", "appdb");
    expect(dump.status).toBe(0);
    expect(dump.stdout).toContain("CREATE SCHEMA gt;");
    const copy = cluster.exec(
      "primary",
      "sh",
      "-c",
      "pg_basebackup -D - -Ft -z -X fetch -c fast -U repl | gzip -t && echo whole",
    );
    expect(copy.output).toBe("whole\n");
    // The page's own form works on no server.
    const asWritten = cluster.exec("primary", "pg_basebackup", "-D", "-", "-Ft", "-z", "-U", "repl");
    expect(asWritten.output).toContain("cannot stream write-ahead logs in tar mode to stdout");
  });

  it("show connections, replication lag and hit ratio as app", () => {
    const [total, active] = app(
      "SELECT count(*) AS total_connections, count(*) FILTER (WHERE state = 'active') AS active, " +
        "count(*) FILTER (WHERE state = 'idle') AS idle FROM pg_stat_activity",
    )
      .split("|")
      .map(Number);
    expect(total).toBeGreaterThan(5);
    expect(active).toBeGreaterThanOrEqual(1);
    expect(
      app(
        "SELECT application_name, client_addr, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) AS lag " +
          "FROM pg_stat_replication",
      ),
    ).toMatch(new RegExp(`^${cluster.names.replica.container}\\|[\\d.]+\\|\\d+ (bytes|kB)$`));
    const ratio = app(
      "SELECT round(100.0 * sum(blks_hit) / (sum(blks_hit) + sum(blks_read)), 2) AS hit_ratio FROM pg_stat_database",
    );
    expect(Number(ratio)).toBeGreaterThan(50);
    expect(Number(ratio)).toBeLessThanOrEqual(100);
  });

  it("let app see what runs and how often, and write nothing", () => {
    expect(Number(app("SELECT count(*) FROM platform.pg_stat_statements WHERE query LIKE '%pg_stat_database%'"))).toBe(
      1,
    );
    const write = cluster.exec("primary", "psql", "-U", "app", "-d", "appdb", "-c", "CREATE TABLE public.t ()");
    expect(write.output).toContain("permission denied for schema public");
  });
});

describe("the replica", () => {
  it("has what the primary has, lets read what may be read, and nobody write", async () => {
    for (const generation of ["old", "new"] as const) {
      for (const { code } of registry) {
        const owner = await cluster.login("primary", `${code}own`);
        await owner.query(createProbes(code, generation));
        await owner.end();
      }
    }
    const superuser = await cluster.login("primary", "postgres");
    const onPrimary = await testEffectOnProbes(cluster.plan, cluster.target("primary"), superuser);
    await superuser.end();
    expect(onPrimary.violations.map(describeViolation)).toEqual([]);
    await cluster.caughtUp("primary");
    const { attempts, violations } = await testEffectOnStandby(cluster.plan, cluster.target("replica"));
    expect(attempts).toBeGreaterThan(1500);
    expect(violations.map(describeViolation)).toEqual([]);
  });
});

describe("a changed configuration", () => {
  it("that PostgreSQL can reload does not restart the servers", async () => {
    const before = nodes.map(startedAt);
    const { status, output } = await cluster.up({ postgresqlSettings: { log_temp_files: "123kB" } });
    expect(output).toBe("");
    expect(status).toBe(0);
    expect(nodes.map(startedAt)).toEqual(before);
    expect(nodes.map((node) => cluster.ask(node, "SHOW log_temp_files"))).toEqual(["123kB", "123kB"]);
  });

  it("and was reloaded keeps none from being started again by the engine when it has ended by itself", async () => {
    const { container } = cluster.names.replica;
    const before = startedAt("replica");
    process.kill(Number(run("docker", ["inspect", "--format", "{{.State.Pid}}", container]).stdout), "SIGKILL");
    await waitFor(() => startedAt("replica") !== before && cluster.ask("replica", "SELECT 1") === "1");
  });

  it.each([
    [{ postgresqlSettings: { work_mem: "3 apples" } }, 'invalid value for parameter "work_mem": "3 apples"'],
    [{ postgresqlSettings: { no_such_setting: "1" } }, 'unrecognized configuration parameter "no_such_setting"'],
    [{ postgresqlSettings: { superuser_reserved_connections: "190" } }, "must be less than max_connections"],
    [{ postgresqlSettings: { shared_buffers: "900GB" } }, "could not map anonymous shared memory"],
    [{ postgresqlSettings: { shared_preload_libraries: "nothing" } }, 'could not access file "nothing"'],
    [{ bindAddress: "192.0.2.1" }, "cannot assign requested address"],
  ])("that cannot work is refused, and the servers go on: %j", async (changes, message) => {
    const good = cluster.settings;
    const before = nodes.map(startedAt);
    const { status, output } = await cluster.up(changes);
    expect(status).toBe(1);
    expect(output).toContain("configuration refused, the running servers keep theirs");
    expect(output).toContain(message);
    expect(nodes.map(startedAt)).toEqual(before);
    await cluster.up({ ...good, postgresqlSettings: {}, bindAddress: "127.0.0.1" });
  });

  it("with an image of another major version is refused, and the servers go on", async () => {
    const before = nodes.map(startedAt);
    // The other way round, which is the same: the data say they are of another one.
    const write = (major: string) => cluster.exec("replica", "sh", "-c", `echo ${major} > $PGDATA/PG_VERSION`);
    write("15");
    const { status, output } = await cluster.up({ postgresqlSettings: { work_mem: "5MB" } });
    write("16");
    expect(status).toBe(1);
    expect(output).toContain(`the image has PostgreSQL 16, the data of ${cluster.names.replica.container} are of 15`);
    expect(await cluster.up({ postgresqlSettings: {} })).toMatchObject({ status: 0 });
    expect(nodes.map(startedAt)).toEqual(before);
  });

  it("that swaps the ports of the nodes is refused, with the way it can be done", async () => {
    const { primaryPort, replicaPort } = cluster.settings;
    const { status, output } = await cluster.up({ primaryPort: replicaPort, replicaPort: primaryPort });
    expect(status).toBe(1);
    expect(output).toContain(`port ${replicaPort} is still the other node's: give that one another port first`);
    expect(await cluster.up({ primaryPort, replicaPort })).toMatchObject({ status: 0 });
  });

  it("with a port somebody has is refused, and the servers go on", async () => {
    const good = cluster.settings;
    const before = nodes.map(startedAt);
    const somebody = createServer();
    await new Promise<void>((resolve) => somebody.listen(0, "127.0.0.1", resolve));
    const { port } = somebody.address() as { port: number };
    const { status, output } = await cluster.up({ primaryPort: port });
    await new Promise((resolve) => somebody.close(resolve));
    expect(status).toBe(1);
    expect(output).toContain("address already in use");
    expect(await cluster.up(good)).toMatchObject({ status: 0 });
    expect(nodes.map(startedAt)).toEqual(before);
  });

  it("of the address replaces the containers on the ports they have", async () => {
    const { bindAddress } = cluster.settings;
    expect(await cluster.up({ bindAddress: "0.0.0.0" })).toMatchObject({ status: 0 });
    expect(docker("port", cluster.names.primary.container)).toContain(`0.0.0.0:${cluster.settings.primaryPort}`);
    expect(await cluster.up({ bindAddress })).toMatchObject({ status: 0 });
    expect(docker("port", cluster.names.primary.container).trim()).toBe(
      `5432/tcp -> 127.0.0.1:${cluster.settings.primaryPort}`,
    );
  });

  it("that needs a restart goes primary first, shuts down cleanly and loses nothing", async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query("CREATE TABLE gt_kept AS SELECT generate_series(1, 1000) AS id");
    await owner.end();
    expect(await cluster.up({ postgresqlSettings: { shared_buffers: "200MB" } })).toMatchObject({ status: 0 });
    for (const node of nodes) {
      expect(cluster.ask(node, "SHOW shared_buffers")).toBe("200MB");
      expect(cluster.logs(node)).not.toMatch(/not properly shut down|was interrupted|redo starts at .* crash/);
    }
    expect(cluster.logs("primary")).toContain("database system was shut down at");
    expect(startedAt("primary") < startedAt("replica")).toBe(true);
    await waitFor(() => cluster.ask("replica", "SELECT count(*) FROM gt.gt_kept") === "1000");
    await waitFor(() => cluster.ask("primary", "SELECT state FROM pg_stat_replication") === "streaming");
  });

  it("of max_connections goes up and down, and the replica follows", async () => {
    for (const maxConnections of [260, 150]) {
      expect(await cluster.up({ maxConnections })).toMatchObject({ status: 0 });
      expect(nodes.map((node) => cluster.ask(node, "SHOW max_connections"))).toEqual(
        nodes.map(() => String(maxConnections)),
      );
    }
  });

  it("that a standby alone would read starts it all the same, with what its primary has", async () => {
    // As when the replica is restarted before its primary was: the file says less than the primary has.
    const volume = `${cluster.names.configVolume}:/etc/centraldb`;
    const edit = ["--entrypoint", "sed", cluster.settings.image, "-i", "s/^max_connections.*/max_connections = 40/"];
    docker("run", "--rm", "--volume", volume, ...edit, "/etc/centraldb/postgresql.conf");
    docker("restart", cluster.names.replica.container);
    await waitFor(() => cluster.logs("replica").includes("centraldb: max_connections = 150 as on its primary, not 40"));
    await waitFor(() => cluster.ask("replica", "SHOW max_connections") === "150");
  });

  it("of pg_hba.conf is reloaded without a restart, and refused where it has a line that is none", async () => {
    const before = nodes.map(startedAt);
    const withLine = async (line: string) => {
      vi.doMock("../../components/cluster/configuration/pg-hba", async (original) => {
        const actual = await original<typeof pgHba>();
        return { ...actual, renderPgHba: (settings: Settings) => `${line}\n${actual.renderPgHba(settings, [])}` };
      });
      const ran = await cluster.up({ maxConnections: 150 });
      vi.doUnmock("../../components/cluster/configuration/pg-hba");
      return ran;
    };
    expect(await withLine("host appdb gtuser all reject")).toMatchObject({ status: 0 });
    await expect(cluster.login("primary", "gtuser")).rejects.toThrow("pg_hba.conf rejects connection");
    await expect(cluster.login("replica", "gtuser")).rejects.toThrow("pg_hba.conf rejects connection");
    expect((await withLine("host appdb gtuser everywhere trust-me")).output).toContain(
      'invalid authentication method "trust-me"',
    );
    expect(await cluster.up()).toMatchObject({ status: 0 });
    await (await cluster.login("replica", "gtuser")).end();
    expect(nodes.map(startedAt)).toEqual(before);
  });
});
