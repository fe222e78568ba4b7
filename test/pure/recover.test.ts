import { describe, expect, it } from "vitest";
import { identityName } from "../../components/cluster/labels";
import { volumeType } from "../../components/lifecycle/state";
import { isSameHistory, parseState, saltOf, stateFlaw } from "../../ops/recover/copied-state";
import { copyFolder } from "../../ops/recover/second-copy";
import { readStack, type Stack } from "../../ops/stack-file";

const stack = readStack("prod");
const withCopy = (backupCopy: string): Stack => ({ ...stack, settings: { ...stack.settings, backupCopy } });

/** A state as pulumi exports it. */
const exported = (name: string, { volume = "pg16-primary-data", identity = "1" } = {}) => ({
  deployment: {
    secrets_providers: { type: "passphrase", state: { salt: "v1:salt" } },
    resources: [
      { urn: `urn:pulumi:${name}::centraldb::pulumi:pulumi:Stack::centraldb-${name}`, type: "pulumi:pulumi:Stack" },
      { urn: `urn:pulumi:${name}::centraldb::x::cluster-primary-data`, type: volumeType, id: volume },
      {
        urn: `urn:pulumi:${name}::centraldb::x::${identityName}`,
        type: "random:index/randomUuid:RandomUuid",
        id: identity,
      },
    ],
  },
});
const state = (...args: Parameters<typeof exported>) => parseState(JSON.stringify(exported(...args)));

describe("a state of a second copy", () => {
  it("is this stack's, by its name and its volumes", () => {
    expect(stateFlaw(state("prod"), stack)).toBeUndefined();
    expect(stateFlaw(state("dev"), stack)).toBe("it is of stack dev, not of prod");
    expect(stateFlaw(state("prod", { volume: "pg17-primary-data" }), stack)).toBe(
      "its data were in the volume pg17-primary-data, and centraldb:namePrefix makes that pg16-primary-data: put pg17 back",
    );
  });

  it("is none where it is half of one, or of another program", () => {
    for (const text of ["", "{", "null", "{}", '{"deployment": null}', '{"deployment": {"resources": []}}']) {
      expect(stateFlaw(parseState(text), stack), text).toBe("it is no state that npm run up has handed over");
    }
  });

  it("says by which salt a passphrase opens it, and nothing where another kind of secrets manager does", () => {
    expect(saltOf(state("prod") ?? {})).toBe("v1:salt");
    expect(saltOf({ secrets_providers: { type: "awskms", state: {} } })).toBeUndefined();
  });

  it("is of one history with what pulumi has only where both are of the same stack's life", () => {
    expect(isSameHistory(state("prod"), state("prod"))).toBe(true);
    expect(isSameHistory(state("prod"), state("prod", { identity: "2" }))).toBe(false);
    expect(isSameHistory({}, {})).toBe(false);
    expect(isSameHistory(undefined, state("prod"))).toBe(false);
  });
});

describe("the folder of a second copy", () => {
  it("is the given one, else the stack's", () => {
    expect(copyFolder(withCopy("/mnt/nas/centraldb"), undefined)).toBe("/mnt/nas/centraldb");
    expect(copyFolder(withCopy("/mnt/nas/centraldb"), "/srv/copy")).toBe("/srv/copy");
  });

  it("is no remote, no relative path, and nothing that is more than a path", () => {
    expect(() => copyFolder(withCopy("vault:"), undefined)).toThrow(
      'centraldb:backupCopy: "vault:" is a remote of rclone, and the second copy is read from a folder: rclone copy vault: FOLDER, ' +
        "then npm run ops -- recover --from FOLDER --stack prod",
    );
    for (const folder of ["", "copy", "/a,source=/b", "/a\nb", "/a/../b", ":s3,secret=x:b"]) {
      expect(() => copyFolder(stack, folder), folder).toThrow(
        `--from: got ${JSON.stringify(folder)}, expected the second copy's folder on the engine's machine`,
      );
    }
    expect(() => copyFolder(withCopy(""), undefined)).toThrow('centraldb:backupCopy: got "", expected');
  });
});
