import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metricsPort } from "../../agent/serve";
import { backupProblems, collectBackups } from "../../ops/status/backup";
import { services } from "../../services/registry";
import type { BackupAgent } from "../support/backup";
import type { TestCluster } from "../support/cluster";
import { drilledCluster } from "../support/drill";
import { furnish } from "../support/furnish";
import { run } from "../support/run";
import { waitFor } from "../support/wait";
import { completeSegments } from "../support/wal";

// The drill's container: it restores what the backup's has made, without network and without passwords.
let cluster: TestCluster;
let agent: BackupAgent;
let drills: BackupAgent;
beforeAll(async () => {
  ({ cluster, agent, drills } = await drilledCluster());
});
afterAll(() => cluster.clean());

const drill = () => drills.run("drill", "now");
/** As the backup's container sees it. */
const scratch = () => agent.shell("ls /drill/scratch");
const problems = () => {
  const status = collectBackups({ name: "test", settings: cluster.settings, dockerHost: undefined });
  return backupProblems(status, services.slice(0, 3), "test").filter((problem) => problem.includes("drill"));
};

/** The agent's own metrics of drills, as the private network sees them. */
function metrics(): Readonly<Record<string, number>> {
  const request = `exec 3<>/dev/tcp/${agent.container}/${metricsPort}; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`;
  const { stdout } = cluster.exec("replica", "bash", "-c", request);
  const values = [...stdout.matchAll(/^centraldb_backup_drill_(\S+) (\S+)$/gm)];
  return Object.fromEntries(values.map(([, series = "", value]) => [series, Number(value)]));
}

describe("a new stack", () => {
  it("has its first drill by itself; one that is killed leaves nothing, and is made again", async () => {
    await waitFor(() => scratch() !== "" && agent.list().drillSince !== null);
    run("docker", ["kill", "--signal", "KILL", drills.container]);
    const [left = ""] = scratch().split("\n");
    expect(agent.list().drills).toEqual([]);
    run("docker", ["start", drills.container]);
    await waitFor(() => agent.list().drills.length === 1, 120);
    expect(drills.log()).toContain(`${left} is removed: a drill that was killed left it`);
    expect(scratch()).toBe("");
    const { drills: kept, drillSince, backups } = agent.list();
    expect(drillSince).toBeNull();
    expect(kept[0]?.backups).toEqual(
      (["logical", "physical"] as const).map((kind) => ({
        ...{ kind, backup: backups.find((backup) => backup.kind === kind)?.id, wrong: [], verdicts: [] },
        startedAt: expect.stringMatching(/^\d{4}-/) as unknown,
        seconds: expect.any(Number) as unknown,
        lostSeconds: kind === "physical" ? (expect.any(Number) as unknown) : null,
      })),
    );
    expect(problems()).toEqual([]);
    const [logical, physical] = kept[0]?.backups ?? [];
    expect(metrics()).toEqual({
      'timestamp_seconds{kind="logical"}': Date.parse(logical?.startedAt ?? "") / 1000,
      'timestamp_seconds{kind="physical"}': Date.parse(physical?.startedAt ?? "") / 1000,
      'last_success_timestamp_seconds{kind="logical"}': Date.parse(logical?.startedAt ?? "") / 1000,
      'last_success_timestamp_seconds{kind="physical"}': Date.parse(physical?.startedAt ?? "") / 1000,
      'success{kind="logical"}': 1,
      'success{kind="physical"}': 1,
      'recovery_seconds{kind="logical"}': logical?.seconds,
      'recovery_seconds{kind="physical"}': physical?.seconds,
      'lost_seconds{kind="physical"}': physical?.lostSeconds,
    });
  });

  it("has it in a container that reaches nobody, knows no password, and writes nothing but its own volume", () => {
    const inside = (script: string) => run("docker", ["exec", drills.container, "sh", "-c", script]);
    expect(inside("ls /sys/class/net").stdout).toBe("lo\n");
    expect(inside("ls -A /etc/centraldb").status).not.toBe(0);
    expect(inside("touch /backups/x /backups/backups/x").output.match(/Read-only file system/g)).toHaveLength(2);
    expect(inside("grep -E '^(Cap(Eff|Prm|Bnd)|NoNewPrivs)' /proc/self/status").stdout.split(/\s+/)).toEqual([
      ...["CapPrm:", "0000000000000000", "CapEff:", "0000000000000000", "CapBnd:", "0000000000000000"],
      ...["NoNewPrivs:", "1", ""],
    ]);
    expect(inside("env").stdout).not.toMatch(/PASS|SECRET|KEY/);
    expect(agent.shell("touch /drill/x 2>&1 || true")).toContain("Read-only file system");
    expect(drills.run("drill", "health")).toMatchObject({ status: 0, stdout: "ok\n" });
  });

  it("makes a second one when the first has ended, and ends one at once where it is stopped", async () => {
    const before = agent.list().drills.length;
    const first = drills.start("drill", "now");
    await waitFor(() => scratch() !== "");
    const second = drills.start("drill", "now");
    expect(await first).toMatchObject({ status: 0 });
    await waitFor(() => scratch() !== "");
    const began = Date.now();
    run("docker", ["stop", drills.container]);
    const tookMs = Date.now() - began;
    const { status, output } = await second;
    run("docker", ["start", drills.container]);
    expect(tookMs).toBeLessThan(15_000);
    expect(output).toMatch(/^a drill is under way since \S+: this one begins when it has ended$/m);
    expect(output).toContain("the drill was ended: the container stops");
    expect(status).not.toBe(0); // 137 where the container's end has ended it
    expect(scratch()).toBe("");
    expect(agent.list()).toMatchObject({ drillSince: null });
    expect(agent.list().drills).toHaveLength(before + 1);
    await waitFor(() => drills.run("drill", "health").status === 0);
  });
});

describe("a drill of the newest dump", () => {
  beforeAll(async () => {
    const owner = await cluster.login("primary", "gtown");
    await owner.query(furnish);
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
  });

  it("finds everything as it was, roles and grants too", () => {
    const { status, output } = drill();
    expect(output).toMatch(
      /^3 of 3 services are restored\n\S+-logical: restored, and what it was; it took \d+\.\d s\n\d+ tables are read\n\S+-physical: restored, and what it was; it took \d+\.\d s; without both servers the last \d+ s would be lost\n$/,
    );
    expect(status).toBe(0);
  });

  it("finds a value that was changed in the dump, and in its sum", () => {
    const { container } = cluster.names.backup;
    const id = agent.list().backups.findLast(({ kind }) => kind === "logical")?.id ?? "";
    const folder = `/backups/backups/${id}`;
    agent.shell(`cp -a ${folder} /tmp/whole`);
    // The same rows by number; one value, one sequence, one index are not what they were.
    const changes = [
      "UPDATE gt.gt_kinds SET t = 'XY' WHERE id = 500",
      "SELECT setval('gt.gt_own', 41)",
      "DROP INDEX gt.gt_kinds_c_d_idx",
      "ALTER TABLE gt.gt_child DISABLE TRIGGER touch",
    ];
    for (const change of changes) cluster.ask("primary", change);
    const forge = `const fs = require("fs"), file = "${folder}/appdb.dump", manifest = JSON.parse(fs.readFileSync("${folder}/manifest.json"));
      const one = manifest.files.find(({ name }) => name === "appdb.dump");
      one.bytes = fs.statSync(file).size; one.sha256 = require("crypto").createHash("sha256").update(fs.readFileSync(file)).digest("hex");
      fs.writeFileSync("${folder}/manifest.json", JSON.stringify(manifest));`;
    agent.shell(
      `PGPASSFILE=/etc/centraldb/pgpass PGSSLMODE=require pg_dump -Fc --no-large-objects -f ${folder}/appdb.dump ` +
        `"host=${cluster.names.primary.container} user=app dbname=appdb" && node -e '${forge}'`,
    );
    const { status, output } = drill();
    agent.shell(`rm -rf ${folder} && mv /tmp/whole ${folder}`);
    expect(output.split("\n").filter((line) => line.includes("-logical: "))).toEqual([
      `${id}: gt.gt_kinds has other values in its 1000 rows`,
      `${id}: gt.gt_kinds has 2 indexes, and had 3`,
      `${id}: sequence gt.gt_own is at 41, and was at 40`,
      expect.stringMatching(`^${id}: NOT what it was; it took \\d+\\.\\d s$`),
    ]);
    expect(status).toBe(1);
    expect(problems()).toEqual([
      expect.stringMatching(
        `^the last drill, of \\d+ s ago, failed: ${id}: gt.gt_kinds has other values in its 1000 rows and 2 more: ` +
          "npm run ops -- backup drill --stack test$",
      ),
    ]);
    expect(metrics()).toMatchObject({ 'success{kind="logical"}': 0, 'success{kind="physical"}': 1 });
    expect(run("docker", ["exec", container, "sh", "-c", "ls /backups/backups"]).stdout).not.toContain("partial");
    expect(drill()).toMatchObject({ status: 0 });
    expect(problems()).toEqual([]);
    expect(metrics()).toMatchObject({ 'success{kind="logical"}': 1 });
  });

  it("finds that WAL is missing between the base and the end", async () => {
    const compressed = () => agent.shell("find /backups/wal -name '*.gz' | sort").split("\n").filter(Boolean);
    const before = compressed().length;
    completeSegments(cluster, "primary", 3);
    await waitFor(() => compressed().length >= before + 3, 60);
    const file = compressed().at(-2) ?? "";
    agent.shell(`mv ${file} /tmp/segment.gz`);
    const { status, output } = drill();
    agent.shell(`mv /tmp/segment.gz ${file}`);
    expect(output).toMatch(/^\S+-physical: the recovery ends in [0-9A-F]{24}, and [0-9A-F]{24} was received$/m);
    expect(status).toBe(1);
  });
});
