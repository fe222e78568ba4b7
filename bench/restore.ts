import { agentFile } from "../components/backup/agent-file";
import type { BackupList } from "../ops/backup/list";
import { run } from "../test/support/run";
import { prepareStack } from "../test/support/stack";
import { waitFor } from "../test/support/wait";
import { fillWithGigabyte, inContainer } from "./gigabyte";
import { measurePaired } from "./paired";

/**
 * How long it takes until what was lost is there again, of a database of more than 1 GB: `npm run ops -- restore` from the file to the
 * audit against the bare pg_restore of the same file, which compares nothing; and a drill of the newest base backup and its WAL.
 */
export async function benchRestore(runs: number): Promise<void> {
  const stack = await prepareStack();
  const [primary, agent] = [`${stack.prefix}-primary`, `${stack.prefix}-backup`];
  const list = () => JSON.parse(inContainer(agent, ["node", agentFile, "list"])) as BackupList;
  const drop = (name: string) => inContainer(primary, ["dropdb", "-U", "postgres", name]);
  const requireOk = ({ status, output }: { readonly status: number | null; readonly output: string }) => {
    if (status !== 0) throw new Error(output);
    return output;
  };
  try {
    requireOk(stack.up("--skip-preview"));
    await waitFor(() => list().drills.length > 0, 300);
    fillWithGigabyte(stack);
    requireOk(stack.ops("backup", "now"));
    const id = list().backups.findLast(({ kind }) => kind === "logical")?.id ?? "";
    await measurePaired(
      [
        {
          name: "the bare pg_restore",
          run: () => {
            const start = performance.now();
            inContainer(primary, ["createdb", "-U", "postgres", "bare"]);
            inContainer(primary, ["psql", "-qU", "postgres", "-d", "bare", "-c", "CREATE SCHEMA gt"]);
            const to = `docker exec -i ${primary} pg_restore -U postgres -d bare --schema=gt`;
            requireOk(run("sh", ["-c", `docker exec ${agent} cat /backups/backups/${id}/appdb.dump | ${to}`]));
            const seconds = (performance.now() - start) / 1000;
            drop("bare");
            return seconds;
          },
        },
        {
          name: "ops -- restore, to the audit",
          run: () => {
            const start = performance.now();
            const output = requireOk(stack.ops("restore", "--service", "gatherer", id));
            const seconds = (performance.now() - start) / 1000;
            drop(/psql -U postgres (appdb_restored_\w+)/.exec(output)?.[1] ?? "");
            return seconds;
          },
        },
        {
          name: "a drill of base and WAL",
          run: () => {
            requireOk(stack.ops("backup", "drill"));
            return list()
              .drills.at(-1)
              ?.backups.find(({ kind }) => kind === "physical")?.seconds;
          },
        },
      ],
      runs,
    );
  } finally {
    stack.pulumi("destroy", "--yes", "--skip-preview");
    stack.clean();
  }
}
