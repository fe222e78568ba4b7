import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./run";

const inContainer = "/usr/local/lib/libfaketime.so.1";

/**
 * Runs the command of a stopped container in another one with its volumes, network and user, for which the clock is `offset` off:
 * `+40d`. The machine's clock is nobody's to change.
 * @returns the name of the new container
 * @throws Error where there is no libfaketime, or it does not work
 */
export function startInAnotherClock(stopped: string, offset: string): string {
  const name = `${stopped}-clock`;
  const [image = "", user = "", network = "", ...command] = docker(
    ...["inspect", "-f"],
    `{{.Config.Image}}\n{{.Config.User}}\n{{.HostConfig.NetworkMode}}{{range .Config.Entrypoint}}\n{{.}}{{end}}{{range .Config.Cmd}}\n{{.}}{{end}}`,
    stopped,
  ).split("\n");
  const [entrypoint = "", ...rest] = command;
  docker(
    ...["create", "--name", name, "--volumes-from", stopped, "--user", user, "--network", network],
    ...["--env", `LD_PRELOAD=${inContainer}`, "--env", `FAKETIME=${offset}`, "--env", "NO_FAKE_STAT=1"],
    ...["--entrypoint", entrypoint, image, ...rest],
  );
  const folder = mkdtempSync(join(tmpdir(), "centraldb-faketime-"));
  try {
    docker("cp", "--follow-link", library(folder), `${name}:${inContainer}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
  docker("start", name);
  const there = Number(docker("exec", name, "date", "+%s"));
  const days = Math.round((there - Date.now() / 1000) / (24 * 3600));
  if (days !== Number.parseInt(offset))
    throw new Error(`libfaketime does not work in ${image}: ${days} days, not ${offset}`);
  return name;
}

/** This machine's, or Debian's package of it, unpacked. */
function library(folder: string): string {
  const find = (under: string) =>
    run("find", [under, "-name", "libfaketime.so.1"])
      .stdout.split("\n")
      .find((line) => line !== "");
  const installed = find("/usr/lib");
  if (installed !== undefined) return installed;
  const { status, output } = run("sh", ["-c", "apt-get download libfaketime && dpkg -x libfaketime_*.deb ."], {
    cwd: folder,
  });
  const unpacked = find(folder);
  if (status === 0 && unpacked !== undefined) return unpacked;
  throw new Error(`no libfaketime, and none can be had (apt-get install libfaketime): ${output.trim()}`);
}

function docker(...args: string[]): string {
  const { status, stdout, output } = run("docker", args);
  if (status !== 0) throw new Error(output);
  return stdout.trim();
}
