import { readFileSync } from "node:fs";
import { docker } from "../docker-cli";
import { ask, runJob, variable } from "./job";

/** What must stand in no environment and no process list. */
export interface LoginsInput {
  /** One idempotent transaction. */
  readonly sql: string;
  /** The new password of role app; that of repl the nodes have in a file. */
  readonly appPassword: string;
}

/**
 * Runs SQL as superuser on the socket of the node that is the primary, then logs in there over the network as `app` and `repl`:
 * their passwords are tried, not believed. Standard input, as JSON: {@link LoginsInput}.
 */
runJob("logins", () => {
  const { sql, appPassword } = JSON.parse(readFileSync(0, "utf8")) as LoginsInput;
  const nodes = variable("NODES").split(" ");
  const primary = nodes.find((node) => ask(node, "SELECT pg_is_in_recovery()") === "f");
  if (primary === undefined) throw new Error(`neither of ${nodes.join(", ")} answers as the primary`);
  const inside = (input: string, ...command: string[]) => {
    const { status, stderr } = docker(["exec", "--interactive", primary, ...command], { input });
    if (status !== 0) throw new Error(stderr.trim());
  };
  const database = variable("DATABASE");
  inside(sql, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-");

  const verified = `host=${primary} sslmode=verify-full sslrootcert=/etc/centraldb/tls/authority.crt`;
  const withPassword = 'read -r PGPASSWORD; export PGPASSWORD; exec "$@"';
  const asApp = ["psql", `${verified} user=app dbname=${database}`, "-XAtc", "SELECT"];
  inside(`${appPassword}\n`, "bash", "-c", withPassword, "bash", ...asApp);
  const asRepl = `${verified} user=repl passfile=/etc/centraldb/pgpass replication=true`;
  inside("", "psql", asRepl, "-XAtc", "IDENTIFY_SYSTEM");
});
