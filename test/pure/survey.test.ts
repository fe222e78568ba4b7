import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeScript } from "../../components/cluster/node-script";
import { surveyEngine } from "../../components/cluster/survey";
import { silenceNotices } from "../../components/lifecycle/examine";
import { dockerNames } from "../../components/naming";
import { readStackSettings } from "../../ops/stack-file";
import { fakeDocker } from "../support/fake-docker";

const settings = readStackSettings("dev");
const { primary } = dockerNames(settings.namePrefix);
const node = {
  name: `/${primary.container}`,
  id: "p1",
  state: "running",
  labels: {},
  args: [nodeScript],
  networks: null,
};
// A primary runs, alone; whether it answers is the file's.
const folder = fakeDocker(`#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
  inspect*) echo '${JSON.stringify(node)}'; for missing in 1 2 3; do echo 'No such container' >&2; done; exit 1 ;;
  *pg_controldata*) echo 'Database cluster state:               in production' ;;
  *psql*pg_namespace*) [ -e answers ] && { echo gt; exit 0; }; echo 'FATAL:  out of shared memory' >&2; exit 2 ;;
  *psql*) [ -e answers ] && exit 0; echo 'FATAL:  out of shared memory' >&2; exit 2 ;;
  *) exit 1 ;;
esac
`);

describe("a primary that runs", () => {
  it("and gives no answer is told, with what is not known for that; it is not taken for one that has nothing", () => {
    const survey = surveyEngine(settings, undefined);
    expect(survey).toMatchObject({ schemas: undefined, silence: "FATAL:  out of shared memory" });
    expect(silenceNotices(survey ?? { silence: undefined })).toEqual([
      expect.stringMatching(
        /^the primary gives no answer \(FATAL: {2}out of shared memory\): .* neither known nor set back/,
      ),
    ]);
  });

  it("and answers is not", () => {
    writeFileSync(join(folder(), "answers"), "");
    const survey = surveyEngine(settings, undefined);
    expect(survey).toMatchObject({ schemas: ["gt"], ownSettings: [], begunDrops: [], silence: undefined });
    expect(silenceNotices(survey ?? { silence: "not asked" })).toEqual([]);
  });
});
