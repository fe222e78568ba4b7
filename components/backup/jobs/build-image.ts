import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { docker } from "../../cluster/docker-cli";
import { runJob, variable } from "../../cluster/jobs/job";
import { buildContext } from "../image";

/** Builds the agent's image as TAG from IMAGE, which the servers run, and the node binary of NODE_IMAGE; with RCLONE_IMAGE the rclone of that too. */
runJob("the backup image cannot be built", () => {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-image-"));
  try {
    for (const [path, text] of Object.entries(buildContext())) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const withCopy = process.env["RCLONE_IMAGE"] !== undefined;
    const images = ["IMAGE", "NODE_IMAGE", ...(withCopy ? ["RCLONE_IMAGE"] : [])];
    const args = images.flatMap((name) => ["--build-arg", `${name}=${variable(name)}`]);
    const target = withCopy ? "agent-with-copy" : "agent";
    const { status, stdout, stderr } = docker(["build", "--target", target, "--tag", variable("TAG"), ...args, folder]);
    // Which of the two streams has the reason depends on the builder.
    if (status !== 0) throw new Error(`${stdout}\n${stderr}`.trim().split("\n").slice(-6).join("\n  "));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
