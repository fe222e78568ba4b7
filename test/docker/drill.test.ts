import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { services } from "../../services/registry";
import { agentFile } from "../../components/backup/agent-file";
import { backupAgent, type BackupAgent } from "../support/backup";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { run, type Ran } from "../support/run";
import { waitFor } from "../support/wait";
import { completeSegments } from "../support/wal";

// What a drill finds: in a container without network and without passwords, the backups read-only.
let cluster: TestCluster;
let agent: BackupAgent;
beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 3), { withBackup: true });
  agent = backupAgent(cluster);
  const { status, output } = await cluster.up();
  expect(status, output).toBe(0);
  await agent.hasBegun();
  const owner = await cluster.login("primary", "gtown");
  await owner.query(furnish);
  await owner.end();
  expect(agent.run("now", "logical").output).toContain("is proven");
});
afterAll(() => cluster.clean());

/** One of everything that a restore may get wrong. */
const furnish = `
  CREATE TYPE gt.colour AS ENUM ('red', 'green');
  CREATE DOMAIN gt.positive AS int CHECK (VALUE > 0);
  CREATE FUNCTION gt.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n * 2; END;
  CREATE TABLE gt_kinds (id serial PRIMARY KEY, c gt.colour NOT NULL, n gt.positive, t text DEFAULT 'x' || 'y', d date,
    doubled int GENERATED ALWAYS AS (id * 2) STORED, u uuid UNIQUE, j jsonb, b bytea, a int[] CHECK (cardinality(a) < 10));
  INSERT INTO gt_kinds (c, n, d, u, j, b, a)
    SELECT CASE i % 2 WHEN 0 THEN 'red' ELSE 'green' END::gt.colour, i, '2026-01-01'::date + i, gen_random_uuid(), '{"a": 1}', '\\x00ff', ARRAY[i]
      FROM generate_series(1, 1000) i;
  CREATE TABLE gt_part (id int, v float8) PARTITION BY RANGE (id);
  CREATE TABLE gt_part_1 PARTITION OF gt_part FOR VALUES FROM (0) TO (100);
  INSERT INTO gt_part SELECT i, random() FROM generate_series(0, 99) i;
  CREATE TABLE gt_child (kind int REFERENCES gt_kinds, note text);
  INSERT INTO gt_child SELECT i, repeat('n', i) FROM generate_series(1, 50) i;
  CREATE VIEW gt_view AS SELECT id, gt.twice(id) FROM gt_kinds;
  CREATE MATERIALIZED VIEW gt_mat AS SELECT count(*) FROM gt_kinds;
  CREATE SEQUENCE gt_own START 40; SELECT nextval('gt_own');
  CREATE INDEX ON gt_kinds (c, d);
  CREATE FUNCTION gt.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
  -- What a restore as anybody else would not pass.
  CREATE FUNCTION gt.is_owner() RETURNS bool LANGUAGE sql AS
    $$SELECT current_user = 'gtown' AND NOT (SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN (session_user, current_user))$$;
  CREATE TABLE gt_mine (id int CHECK (gt.is_owner()));
  INSERT INTO gt_mine VALUES (1);
  CREATE TRIGGER touch BEFORE INSERT ON gt_child FOR EACH ROW EXECUTE FUNCTION gt.touch()`;

function drill(): Ran {
  const { volume, container } = cluster.names.backup;
  const image = run("docker", ["inspect", "-f", "{{.Config.Image}}", container]).stdout.trim();
  return run("docker", [
    ...[
      "run",
      "--rm",
      "--network",
      "none",
      "--user",
      "postgres",
      "--volume",
      `${volume}:/backups:ro`,
      "--tmpfs",
      "/drill:uid=999",
    ],
    ...["--entrypoint", "node", image, agentFile, "drill"],
  ]);
}

describe("a drill of the newest dump", () => {
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
    expect(run("docker", ["exec", container, "sh", "-c", "ls /backups/backups"]).stdout).not.toContain("partial");
    expect(drill()).toMatchObject({ status: 0 });
  });

  it("ends code of a service that no limit ends, names it, and restores the others", async () => {
    const owner = await cluster.login("primary", "scown");
    // Only where it is restored; it catches that it is cancelled.
    await owner.query(
      `CREATE FUNCTION sc.sc_stay(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
         IF current_setting('session_replication_role') = 'replica' THEN
           ALTER ROLE scown IN DATABASE appdb SET work_mem = '1MB';
           LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
         END IF; RETURN true; END $$;
       CREATE TABLE sc_t (i int CHECK (sc.sc_stay(i))); INSERT INTO sc_t VALUES (1)`,
    );
    expect(agent.run("now", "logical").output).toContain("is proven");
    const settings = "/backups/settings.json";
    agent.shell(`cp -p ${settings} /tmp/settings && sed -i 's/"dumpMinutes":120/"dumpMinutes":0.1/' ${settings}`);
    const { status, output } = drill();
    agent.shell(`cp -p /tmp/settings ${settings}`);
    await owner.query("DROP TABLE sc_t");
    await owner.end();
    expect(agent.run("now", "logical").output).toContain("is proven");
    const id = /^(\S+-logical): /m.exec(output)?.[1] ?? "";
    expect(output).toContain("2 of 3 services are restored\n");
    expect(output.split("\n").filter((line) => line.startsWith(`${id}: `))).toEqual([
      `${id}: sc cannot be restored: it takes more than 0.1 minutes`,
      expect.stringContaining(`${id}: sc.sc_t`),
      expect.stringContaining("NOT what it was"),
    ]);
    expect(output).toMatch(/-physical: restored, and what it was; /);
    expect(status).toBe(1);
  });

  it("finds that WAL is missing between the base and the end", async () => {
    const compressed = () => agent.shell("ls /backups/wal/*/*.gz").split("\n");
    completeSegments(cluster, "primary", 3);
    await waitFor(() => compressed().length >= 3, 60);
    const file = compressed().at(-2) ?? "";
    agent.shell(`mv ${file} /tmp/segment.gz`);
    const { status, output } = drill();
    agent.shell(`mv /tmp/segment.gz ${file}`);
    expect(output).toMatch(/^\S+-physical: the recovery ends in [0-9A-F]{24}, and [0-9A-F]{24} was received$/m);
    expect(status).toBe(1);
  });
});
