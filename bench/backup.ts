import type { BackupKind } from "../agent/schedule";
import type { Summary } from "../agent/summary";
import { agentFile } from "../components/backup/agent-file";
import type { BackupList } from "../ops/backup/list";
import { prepareStack } from "../test/support/stack";
import { run } from "../test/support/run";
import { waitFor } from "../test/support/wait";
import { fillWithGigabyte, inContainer } from "./gigabyte";
import { measurePaired } from "./paired";

const tools: Readonly<Record<BackupKind, string>> = {
  logical:
    'pg_dump --format=custom --no-large-objects --file=/backups/bare/appdb.dump --dbname="host=$HOST user=app dbname=appdb" && ' +
    'pg_dumpall --globals-only --database=appdb --file=/backups/bare/globals.sql --dbname="host=$HOST user=app dbname=appdb"',
  physical:
    "pg_basebackup --pgdata=/backups/bare --format=tar --wal-method=stream --compress=client-gzip:1 --checkpoint=fast " +
    '--manifest-checksums=SHA256 --dbname="host=$HOST user=repl"',
};

/** A stack with more than 1 GB in it, and its backup's container. */
interface Source {
  readonly prefix: string;
  readonly inside: (command: string, env?: readonly string[]) => string;
  readonly list: () => BackupList;
}

async function withGigabyte(work: (source: Source) => Promise<void>): Promise<void> {
  const stack = await prepareStack();
  const container = `${stack.prefix}-backup`;
  const inside: Source["inside"] = (command, env = []) => inContainer(container, ["sh", "-ec", command], env);
  const list = () => JSON.parse(inside(`node ${agentFile} list`)) as BackupList;
  try {
    const { status, output } = stack.up("--skip-preview");
    if (status !== 0) throw new Error(output);
    await waitFor(() => list().backups.length === 2, 120);
    // Its first drill is no backup's work.
    run("docker", ["stop", `${stack.prefix}-drill`]);
    fillWithGigabyte(stack);
    await work({ prefix: stack.prefix, inside, list });
  } finally {
    stack.pulumi("destroy", "--yes", "--skip-preview");
    stack.clean();
  }
}

/** What a proof costs: the agent's tool phase against the bare tools into the same volume, its proof beside it. */
export function benchBackup(runs: number): Promise<void> {
  return withGigabyte((source) => measureTools(source, runs));
}

/** What a workload loses while a dump is made. */
export function benchBackupWorkload(runs: number): Promise<void> {
  return withGigabyte((source) => measureWorkload(source, runs));
}

async function measureTools({ prefix, inside, list }: Source, runs: number): Promise<void> {
  /** The agent's own seconds of the last run. */
  let last: Summary | undefined;
  const agent = (kind: BackupKind) => () => {
    inside(`node ${agentFile} now ${kind}`);
    last = list().backups.findLast((backup) => backup.kind === kind);
    inside("rm -rf /backups/bare");
    return last?.seconds.tools ?? NaN;
  };
  const bare = (kind: BackupKind, host: string) => () => {
    const env = [
      "PGPASSFILE=/etc/centraldb/pgpass",
      "PGSSLMODE=verify-full",
      "PGSSLROOTCERT=/etc/centraldb/tls/authority.crt",
    ];
    const start = performance.now();
    inside(
      `rm -rf /backups/bare; mkdir -p /backups/bare; ${tools[kind]}`,
      [`HOST=${host}`, ...env].flatMap((one) => ["--env", one]),
    );
    return (performance.now() - start) / 1000;
  };
  for (const kind of ["logical", "physical"] as const) {
    const host = `${prefix}-${kind === "logical" ? "primary" : "replica"}`;
    process.stdout.write(`\n${kind}\n`);
    await measurePaired(
      [
        { name: "the bare tools", run: bare(kind, host) },
        { name: "the agent's tool phase", run: agent(kind) },
        { name: "its proof", run: () => last?.seconds.proof ?? NaN },
      ],
      runs,
    );
  }
}

async function measureWorkload({ prefix, inside }: Source, runs: number): Promise<void> {
  const script =
    "printf 'UPDATE gt.gt_counter SET n = n + 1;' > /tmp/count.sql && pgbench -nU postgres -c 2 -T 10 -f /tmp/count.sql appdb";
  const perThousand = () =>
    1000 / Number(/tps = ([\d.]+)/.exec(inContainer(`${prefix}-primary`, ["sh", "-ec", script]))?.[1]);
  process.stdout.write("\n1,000 transactions of two clients\n");
  await measurePaired(
    [
      { name: "nothing else", run: perThousand },
      {
        name: "while a dump is made",
        run: async () => {
          const making = `node ${agentFile} now logical`;
          run("docker", ["exec", "--detach", `${prefix}-backup`, "sh", "-c", making]);
          await waitFor(() => inside("ls /backups/backups").includes(".partial"));
          const seconds = perThousand();
          await waitFor(() => !inside("ls /backups/backups").includes(".partial"), 600);
          return seconds;
        },
      },
    ],
    runs,
  );
}
