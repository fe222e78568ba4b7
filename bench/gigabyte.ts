import { run } from "../test/support/run";
import type { TestStack } from "../test/support/stack";

/** Of 128 bytes each, a part of them random: more than 1 GB. */
const rows = 6_500_000;

const fill = `
  SET ROLE gtown;
  CREATE TABLE gt.gt_bench (id int, note bytea);
  INSERT INTO gt.gt_bench SELECT n, decode(md5(random()::text) || md5(random()::text) || repeat(md5(random()::text), 6), 'hex')
    FROM generate_series(1, ${rows}) n;
  CREATE TABLE gt.gt_counter (n int);
  INSERT INTO gt.gt_counter VALUES (0)`;

/** Runs a command in a container of a stack; its standard output. Throws where it fails. */
export function inContainer(container: string, args: readonly string[], env: readonly string[] = []): string {
  const { status, stdout, output } = run("docker", ["exec", ...env, container, ...args]);
  if (status !== 0) throw new Error(output);
  return stdout;
}

/** More than 1 GB of rows in a table of gatherer's, and a counter; says how much it is. */
export function fillWithGigabyte({ prefix }: Pick<TestStack, "prefix">): void {
  const psql = (...args: string[]) =>
    inContainer(`${prefix}-primary`, ["psql", "-qAtU", "postgres", "-d", "appdb", ...args]);
  psql("-c", fill);
  process.stdout.write(psql("-c", "SELECT pg_size_pretty(pg_database_size('appdb'))"));
}
