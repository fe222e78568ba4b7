import { describe, expect, it } from "vitest";
import { parseSettings, type Settings } from "../../components/settings-rules";
import { readStackSettings } from "../../ops/stack-file";

const good: Readonly<Record<keyof Settings, string>> = {
  protect: "true",
  namePrefix: "pg16",
  image: "postgres:16.14-bookworm",
  bindAddress: "127.0.0.1",
  primaryPort: "5432",
  maxConnections: "200",
  extensions: '["citext"]',
};
const parse = (values: Partial<Record<keyof Settings, string | undefined>>) =>
  parseSettings((key) => ({ ...good, ...values })[key], Object.keys({ ...good, ...values }));

describe("settings", () => {
  it("are read from text into a typed object", () => {
    expect(parse({})).toEqual({
      protect: true,
      namePrefix: "pg16",
      image: "postgres:16.14-bookworm",
      bindAddress: "127.0.0.1",
      primaryPort: 5432,
      maxConnections: 200,
      extensions: ["citext"],
    });
  });

  it.each<[keyof Settings, string | undefined, string]>([
    ["protect", "yes", 'expected true or false, got "yes"'],
    ["primaryPort", "0", 'expected a whole number from 1 to 65535, got "0"'],
    ["primaryPort", "5432x", 'expected a whole number from 1 to 65535, got "5432x"'],
    ["primaryPort", "1e3", 'expected a whole number from 1 to 65535, got "1e3"'],
    ["maxConnections", "24", 'expected a whole number from 25 to 10000, got "24"'],
    ["namePrefix", "Pg 16", 'expected 1 to 31 lower-case letters, digits and dashes, a letter first, got "Pg 16"'],
    ["bindAddress", "localhost", 'expected an IPv4 address such as 127.0.0.1, got "localhost"'],
    ["bindAddress", "1.2.3.999", 'expected an IPv4 address such as 127.0.0.1, got "1.2.3.999"'],
    ["image", "-v /:/x", 'expected an image reference such as postgres:16.14-bookworm, got "-v /:/x"'],
    ["extensions", "citext", 'expected a list of extension names, got "citext"'],
    ["extensions", '["a\'b"]', 'expected a list of extension names, got "[\\"a\'b\\"]"'],
    ["image", undefined, "expected an image reference such as postgres:16.14-bookworm, got nothing"],
  ])("refuse %s = %s by name, with what is allowed", (key, value, message) => {
    expect(parse({ [key]: value })).toEqual([
      { path: `centraldb:${key}`, message: `${message}; see its description in Pulumi.yaml` },
    ]);
  });

  it("refuse a key that is none, and say which was meant", () => {
    expect(parseSettings((key) => good[key], ["primryPort"])).toEqual([
      {
        path: "centraldb:primryPort",
        message:
          "unknown setting; known are protect, namePrefix, image, bindAddress, primaryPort, maxConnections, extensions, " +
          'did you mean "primaryPort"?',
      },
    ]);
  });

  it("name every bad value at once", () => {
    expect(parse({ protect: "1", primaryPort: "x", extensions: "{}" })).toHaveLength(3);
  });

  it("come from the stack files: dev throws everything away on destroy, prod protects it, both have the page's numbers", () => {
    expect(readStackSettings("dev")).toEqual({ ...readStackSettings("prod"), protect: false });
    expect(readStackSettings("prod")).toMatchObject({
      protect: true,
      namePrefix: "pg16",
      primaryPort: 5432,
      maxConnections: 200,
    });
  });
});
