import { describe, expect, it, vi } from "vitest";
import { endSessionsOfService } from "../../ops/end-sessions";
import { OperatorError } from "../../ops/operator-error";
import { readStack } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { fakeDocker } from "../support/fake-docker";

// Stands for the docker CLI: both servers run, and on those in STUCK sessions go on.
const docker = `#!/bin/sh
case "$1 $*" in
  inspect*) echo running; exit ;;
  *pg16-primary*) node=primary ;;
  *) node=replica ;;
esac
cat > /dev/null
case "$STUCK" in *$node*) echo "1 of 2 have not ended after 10 s" >&2; exit 3 ;; esac
echo 2
`;

fakeDocker(docker);

describe("sessions of a service", () => {
  const [service] = services;
  if (service === undefined) throw new Error("the registry is empty");
  const goOn = (node: string) => `sessions on pg16-${node} go on: 1 of 2 have not ended after 10 s`;
  const ended = (node: string) => `pg16-${node}: ended 2 sessions of gtapp`;

  it.each([
    ["no server", "", [ended("primary"), ended("replica")], undefined],
    ["the primary", "primary", [ended("replica")], goOn("primary")],
    ["the replica", "replica", [ended("primary")], goOn("replica")],
    ["both", "primary replica", [], `${goOn("primary")}\n${goOn("replica")}`],
  ])("are ended on each server, also where some go on, which is told: on %s", (_, stuck, said, thrown) => {
    vi.stubEnv("STUCK", stuck);
    const lines: string[] = [];
    const end = () => endSessionsOfService(service, ["app"], readStack("prod"), (line) => lines.push(line));
    if (thrown === undefined) end();
    else expect(end).toThrow(new OperatorError(thrown));
    expect(lines).toEqual(said);
  });
});
