import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { pipe } from "../../ops/restore/pipe";
import { fakeDocker } from "../support/fake-docker";

// Stands for the docker CLI. "write" and "read" are a dump that is longer than a pipe, and who does not read it: that one ends by no
// signal before the first one is gone, of which the pipe is still full then.
const docker = `#!/bin/sh
cd "$(dirname "$0")"
case $1 in
  write) echo $$ > writer; exec cat /dev/zero ;;
  read)
    trap 'while kill -0 "$(cat writer)" 2> /dev/null; do sleep 0.01; done; exit 143' TERM
    echo > reader
    while :; do sleep 0.01; done ;;
  say) echo "$2" ;;
  fail) echo "error: $2" >&2; exit 1 ;;
  pass) exec cat ;;
  end) cat > /dev/null; echo "error: input has ended" >&2; exit 1 ;;
esac
`;

const folder = fakeDocker(docker);

describe("a pipe of two commands", () => {
  const never = new AbortController().signal;

  it("ends where it is aborted, also where the first one has ended with something unread", async () => {
    const stop = new AbortController();
    const ended = pipe([["write"], ["read"]], { host: undefined, signal: stop.signal });
    const said = (file: string) => readFileSync(join(folder(), file), "utf8");
    await vi.waitFor(() => expect(["writer", "reader"].map(said)).toEqual([expect.stringMatching(/^\d+\n$/), "\n"]));
    stop.abort(new Error("stopped"));
    await expect(ended).rejects.toThrow("stopped");
  });

  it("says what the last one writes, and why one has failed", async () => {
    const said: string[] = [];
    const say = (text: string) => said.push(text);
    await pipe([["say", "rows"], ["pass"]], { host: undefined, signal: never, say });
    expect(said.join("")).toBe("rows\n");
    for (const commands of [
      [["write"], ["fail", "no"]],
      [["fail", "no"], ["pass"], ["end"]],
    ]) {
      await expect(pipe(commands, { host: undefined, signal: never })).rejects.toThrow(/^error: no$/);
    }
  });
});
