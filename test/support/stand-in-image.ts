import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** What the rings with containers run instead of the official image, which cannot be pulled everywhere. */
export const standInImage = "centraldb-test/postgres:16.14";

/** Builds it where it is not there, or not of the present build files. Its id. */
export function buildStandInImage(): string {
  execFileSync(join(__dirname, "stand-in", "build.sh"), [standInImage], { stdio: ["ignore", "inherit", "inherit"] });
  return execFileSync("docker", ["image", "inspect", "-f", "{{.Id}}", standInImage], { encoding: "utf8" }).trim();
}

/** The same with the server of the minor version before, for upgrades. */
export const olderStandInImage = "centraldb-test/postgres:16.13";

export function buildOlderStandInImage(): void {
  buildStandInImage();
  const build = join(__dirname, "stand-in", "build-minor.sh");
  execFileSync(build, [standInImage, olderStandInImage, "16.13.0-beta.17"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/** Stands in for the official node image: this machine's own binary, where that has it. */
export const standInNodeImage = `centraldb-test/node:${process.version.slice(1)}`;

export function buildStandInNodeImage(): void {
  buildBinaryImage(process.execPath, "node", standInNodeImage);
}

/** Stands in for the official rclone image: Debian's rclone, which this machine must have. */
export const standInRcloneImage = "centraldb-test/rclone:debian";

export function buildStandInRcloneImage(): void {
  buildBinaryImage("/usr/bin/rclone", "rclone", standInRcloneImage);
}

function buildBinaryImage(...args: [binary: string, name: string, tag: string]): void {
  const build = join(__dirname, "stand-in", "build-binary.sh");
  execFileSync(build, args, { stdio: ["ignore", "inherit", "inherit"] });
}
