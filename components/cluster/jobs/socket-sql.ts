import { readFileSync } from "node:fs";
import { docker } from "../docker-cli";
import { ask, runJob, variable } from "./job";

/** Runs the SQL of standard input as superuser on the socket of the node that is the primary. */
runJob("platform SQL", () => {
  const nodes = variable("NODES").split(" ");
  const primary = nodes.find((node) => ask(node, "SELECT pg_is_in_recovery()") === "f");
  if (primary === undefined) throw new Error(`neither of ${nodes.join(", ")} answers as the primary`);
  const psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", variable("DATABASE"), "-f", "-"];
  const { status, stderr } = docker(["exec", "--interactive", primary, ...psql], { input: readFileSync(0, "utf8") });
  if (status !== 0) throw new Error(stderr.trim());
});
