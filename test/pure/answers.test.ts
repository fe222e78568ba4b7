import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { answerOf } from "../../components/cluster/answers";
import { fakeDocker } from "../support/fake-docker";

// Fails as often as the question says, as psql does where the server has no lock left, and answers then; or never ends.
const folder = fakeDocker(`#!/bin/sh
cd "$(dirname "$0")"
echo asked >> asked
for question; do :; done
[ "$question" = never ] && exec sleep 60
[ "$(grep -c . asked)" -gt "$question" ] && { echo one; echo two; exit 0; }
echo 'connection to server failed: FATAL:  out of shared memory' >&2
exit 2
`);

describe("a question to a server", () => {
  const ask = (query: string, timeoutMs = 60_000) =>
    answerOf({ container: "pg16-primary", database: "appdb", query, host: undefined, timeoutMs });
  const asked = () => readFileSync(join(folder(), "asked"), "utf8").split("\n").filter(Boolean).length;
  beforeEach(() => rmSync(join(folder(), "asked"), { force: true }));

  it("that fails is asked again, and is no empty answer", () => {
    expect(ask("2")).toEqual({ lines: ["one", "two"] });
    expect(asked()).toBe(3);
  });

  it("is told why where it fails each time", () => {
    expect(ask("9")).toEqual({ why: "connection to server failed: FATAL:  out of shared memory" });
    expect(asked()).toBe(3);
  });

  it("is asked once where nothing comes: somebody has what every login needs", () => {
    expect(ask("never", 5_000)).toEqual({ why: expect.stringContaining("no answer in 5 s") as unknown });
    expect(asked()).toBe(1);
  });
});
