import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runJob, runThrowAway, variable } from "./job";

/**
 * The seed job: makes the first data directory in the primary's volume. Standard input: the superuser's password.
 * What it finds it keeps.
 */
runJob("seed", () => {
  const script = readFileSync(join(__dirname, "..", "scripts", "seed.sh"), "utf8");
  runThrowAway(
    `${variable("CONTAINER")}-seed`,
    [
      ...["--network", "none", "--user", "root", "--entrypoint", "bash"],
      ...[
        "--volume",
        `${variable("VOLUME")}:/var/lib/postgresql/data`,
        "--volume",
        `${variable("PEER_VOLUME")}:/peer:ro`,
      ],
      ...["--env", "PGDATA=/var/lib/postgresql/data/pgdata", "--env", "PEER_PGDATA=/peer/pgdata"],
      ...["--env", `DATABASE=${variable("DATABASE")}`],
      ...[variable("IMAGE"), "-c", script],
    ],
    `${readFileSync(0, "utf8").trim()}\n`,
  );
});
