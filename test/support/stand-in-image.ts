import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** What the rings with containers run instead of the official image, which cannot be pulled everywhere. */
export const standInImage = "centraldb-test/postgres:16.14";

/** Builds it where it is not there, or not of the present build files. Its id. */
export function buildStandInImage(): string {
  execFileSync(join(__dirname, "stand-in", "build.sh"), [standInImage], { stdio: ["ignore", "inherit", "inherit"] });
  return execFileSync("docker", ["image", "inspect", "-f", "{{.Id}}", standInImage], { encoding: "utf8" }).trim();
}
