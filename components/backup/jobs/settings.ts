import { readFileSync } from "node:fs";
import { docker } from "../../cluster/docker-cli";
import { runJob, variable } from "../../cluster/jobs/job";

/** Hands what is on standard input to the agent in CONTAINER, as FILE, which it reads before each of its runs. */
runJob("the backup agent does not get its settings", () => {
  const file = variable("FILE");
  const write = `umask 077; cat > ${file}.new && mv ${file}.new ${file}`;
  const command = ["exec", "--interactive", variable("CONTAINER"), "sh", "-c", write];
  const { status, stderr } = docker(command, { input: readFileSync(0, "utf8") });
  if (status !== 0) throw new Error(stderr.trim());
});
