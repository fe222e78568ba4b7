import { docker } from "../components/cluster/docker-cli";
import { OperatorError } from "./operator-error";

/** @throws OperatorError where no Docker engine answers, with the engine's address and the cure */
export function requireEngine(host: string | undefined): void {
  const { status, stderr } = docker(["version", "--format", "{{.Server.Version}}"], { host });
  if (status === 0) return;
  throw new OperatorError(`no Docker engine answers: ${stderr.trim()} (start it, or set DOCKER_HOST to where it is)`);
}
