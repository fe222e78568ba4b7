import { describe, expect, it } from "vitest";
import { parseSettings, type Settings } from "../../components/settings-rules";
import { readStackSettings } from "../../ops/stack-file";

const good: Readonly<Record<keyof Settings, string>> = {
  protect: "true",
  namePrefix: "pg16",
  image: "postgres:16.14-bookworm",
  bindAddress: "127.0.0.1",
  primaryPort: "5432",
  replicaPort: "5433",
  primaryNode: "primary",
  memoryMiB: "16384",
  cpus: "4",
  maxConnections: "200",
  postgresqlSettings: '{"work_mem":"32MB","autovacuum_naptime":30,"jit":true}',
  extensions: '["citext"]',
  passwordRotation: "{}",
  tls: "required",
  certificateNames: '["db.example.org","192.0.2.7"]',
  certificates: "{}",
  backupTimeZone: "Asia/Seoul",
  backupRetentionDays: '{"daily":30,"weekly":60,"monthly":365}',
  backupRateMiB: "50",
  backupDumpMinutes: "90",
  backupNodeImage: "node:22-bookworm-slim",
  backupCopy: "nas:centraldb",
  backupCopyConfig: "[nas]\ntype = sftp\n",
  backupRcloneImage: "rclone/rclone:1.71.2",
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
      replicaPort: 5433,
      primaryNode: "primary",
      memoryMiB: 16_384,
      cpus: 4,
      maxConnections: 200,
      postgresqlSettings: { work_mem: "32MB", autovacuum_naptime: "30", jit: "on" },
      extensions: ["citext"],
      passwordRotation: {},
      tls: "required",
      certificateNames: ["db.example.org", "192.0.2.7"],
      certificates: null,
      backupTimeZone: "Asia/Seoul",
      backupRetentionDays: { daily: 30, weekly: 60, monthly: 365 },
      backupRateMiB: 50,
      backupDumpMinutes: 90,
      backupNodeImage: "node:22-bookworm-slim",
      backupCopy: "nas:centraldb",
      backupCopyConfig: "[nas]\ntype = sftp\n",
      backupRcloneImage: "rclone/rclone:1.71.2",
    });
  });

  it.each<[keyof Settings, string | undefined, string]>([
    ["protect", "yes", 'expected true or false, got "yes"'],
    ["backupTimeZone", "Seoul", `expected a time zone by IANA's name, such as Asia/Seoul or UTC, got "Seoul"`],
    ["backupTimeZone", "+09:00", `expected a time zone by IANA's name, such as Asia/Seoul or UTC, got "+09:00"`],
    [
      "backupRetentionDays",
      '{"daily":30,"weekly":30}',
      "expected an object of whole numbers of days from 1 to 36500 for each of daily, weekly, monthly, got " +
        '"{\\"daily\\":30,\\"weekly\\":30}"',
    ],
    ["backupDumpMinutes", "0", 'expected a whole number from 1 to 1440, got "0"'],
    ["backupRateMiB", "-1", 'expected a whole number from 0 to 1024, got "-1"'],
    ...["../up", "/mnt/../etc", ":s3,secret=x:bucket", "/mnt/a:b", "relative", "nas:a\nb", "-v:x"].map(
      (copy): [keyof Settings, string, string] => [
        "backupCopy",
        copy,
        `expected nothing, an absolute path such as /mnt/nas/centraldb, or remote:path of rclone, got ${JSON.stringify(copy)}`,
      ],
    ),
    [
      "backupCopyConfig",
      "[other]\ntype = sftp\n",
      "expected an rclone.conf with [nas], the remote of centraldb:backupCopy, got one without it",
    ],
    [
      "backupCopyConfig",
      "password = x",
      "expected nothing, or the text of an rclone.conf, got something else, not shown",
    ],
    ["backupNodeImage", "-v", 'expected an image reference such as node:22-bookworm-slim, got "-v"'],
    ["primaryPort", "0", 'expected a whole number from 1 to 65535, got "0"'],
    ["primaryPort", "5432x", 'expected a whole number from 1 to 65535, got "5432x"'],
    ["primaryPort", "1e3", 'expected a whole number from 1 to 65535, got "1e3"'],
    ["maxConnections", "24", 'expected a whole number from 25 to 10000, got "24"'],
    ["namePrefix", "Pg 16", 'expected 1 to 31 lower-case letters, digits and dashes, a letter first, got "Pg 16"'],
    [
      "namePrefix",
      "a".repeat(32),
      `expected 1 to 31 lower-case letters, digits and dashes, a letter first, got "${"a".repeat(32)}"`,
    ],
    [
      "namePrefix",
      "host",
      'expected a name that is not one of Docker\'s own networks (bridge, default, host, none), got "host"',
    ],
    ["bindAddress", "localhost", 'expected an IPv4 address such as 127.0.0.1, got "localhost"'],
    ["bindAddress", "1.2.3.999", 'expected an IPv4 address such as 127.0.0.1, got "1.2.3.999"'],
    ["image", "-v /:/x", 'expected an image reference such as postgres:16.14-bookworm, got "-v /:/x"'],
    [
      "image",
      "postgres:17.2-bookworm",
      "expected an image of PostgreSQL 16; another major version does not read these data, see README, " +
        'Another major version, got "postgres:17.2-bookworm"',
    ],
    [
      "extensions",
      '["citext","dblink"]',
      'expected a list of extension names without dblink (it connects from the server to wherever a service wants), got "[\\"citext\\",\\"dblink\\"]"',
    ],
    ["tls", "on", 'expected required or offered, got "on"'],
    ...['["a b"]', '["-x.org"]', '["*.example.org"]', '[""]', '"db.example.org"'].map(
      (names): [keyof Settings, string, string] => [
        "certificateNames",
        names,
        `expected a list of DNS names and IP addresses, such as [db.example.org, 192.0.2.7], got ${JSON.stringify(names)}`,
      ],
    ),
    [
      "passwordRotation",
      '{"gtown":2}',
      'expected an object of whole numbers by role, of postgres, app, repl, such as {postgres: 2}, got "{\\"gtown\\":2}"',
    ],
    ["primaryNode", "standby", 'expected one of the nodes primary, replica, got "standby"'],
    ["memoryMiB", "511", 'expected a whole number from 512 to 4194304, got "511"'],
    ["extensions", "citext", 'expected a list of extension names, got "citext"'],
    ["extensions", '["a\'b"]', 'expected a list of extension names, got "[\\"a\'b\\"]"'],
    ["image", undefined, "expected an image reference such as postgres:16.14-bookworm, got nothing"],
  ])("refuse %s = %s by name, with what is allowed", (key, value, message) => {
    expect(parse({ [key]: value })).toEqual([
      { path: `centraldb:${key}`, message: `${message}; see its description in Pulumi.yaml` },
    ]);
  });

  it.each([
    [
      '{"port":"5555"}',
      " (not port, which the platform sets: centraldb:primaryPort and centraldb:replicaPort, outside the container)",
    ],
    ['{"Data_Directory":"/tmp"}', " (not Data_Directory, which the platform sets: the node's volume)"],
    ['{"fsync":false}', " (not fsync, which the platform sets: a crash would lose acknowledged rows)"],
    [
      '{"include_if_exists":"x"}',
      " (not include_if_exists, which the platform sets: the files are these and no others)",
    ],
    ['{"work_mem":"4MB\\nfsync = off"}', " (the value of work_mem is none)"],
    ['{"work_mem":["4MB"]}', " (the value of work_mem is none)"],
    ['{"work mem":"4MB"}', ' ("work mem" is no setting\'s name)'],
    ['{"x = on #":"4MB"}', ' ("x = on #" is no setting\'s name)'],
    ['{"work_mem":1e999}', " (the value of work_mem is none)"],
    ['{"work_mem":"\\u2028"}', " (the value of work_mem is none)"],
    [`{"${"a".repeat(64)}":1}`, ` ("${"a".repeat(64)}" is no setting's name)`],
    ['["work_mem"]', ""],
    ["work_mem = 4MB", ""],
  ])("refuse postgresqlSettings %s, and say which of them and why", (text, why) => {
    const expected = `an object of PostgreSQL settings, each with a text, number or boolean on one line${why}`;
    expect(parse({ postgresqlSettings: text })).toEqual([
      {
        path: "centraldb:postgresqlSettings",
        message: `expected ${expected}, got ${JSON.stringify(text)}; see its description in Pulumi.yaml`,
      },
    ]);
  });

  it.each([
    "postgres:16",
    "postgres:16.14-bookworm",
    "registry.example:5000/postgres:16-alpine",
    "registry.example:5000/postgres",
    "postgres@sha256:17ab",
    "example/postgres:latest",
    "example/postgres:2026-11-24",
  ])("take %s, which says 16 or nothing of a major version", (image) => {
    expect(parse({ image })).toMatchObject({ image });
  });

  it.each(["postgres:17", "postgres:15.2", "registry.example:5000/postgres:18-alpine", "postgres:17@sha256:ab"])(
    "refuse %s, another major version",
    (image) => {
      expect(parse({ image })).toHaveLength(1);
    },
  );

  it("refuse one port for both nodes", () => {
    expect(parse({ primaryPort: "5433" })).toEqual([
      { path: "centraldb:replicaPort", message: "expected another port than centraldb:primaryPort, got 5433 for both" },
    ]);
  });

  it("refuse a key that is none, and say which was meant", () => {
    expect(parseSettings((key) => good[key], ["primryPort"])).toEqual([
      {
        path: "centraldb:primryPort",
        message:
          "unknown setting; known are protect, namePrefix, image, bindAddress, primaryPort, replicaPort, primaryNode, " +
          "memoryMiB, cpus, maxConnections, postgresqlSettings, extensions, passwordRotation, tls, certificateNames, certificates, " +
          "backupTimeZone, backupRetentionDays, backupRateMiB, backupDumpMinutes, backupNodeImage, " +
          "backupCopy, backupCopyConfig, backupRcloneImage, " +
          'did you mean "primaryPort"?',
      },
    ]);
  });

  it("are looked up by name and by nothing an object has besides", () => {
    expect(parse({ postgresqlSettings: '{"constructor":"1"}' })).toMatchObject({
      postgresqlSettings: { constructor: "1" }, // PostgreSQL refuses it in its own words
    });
  });

  it("name every bad value at once", () => {
    expect(parse({ protect: "1", primaryPort: "x", extensions: "{}" })).toHaveLength(3);
  });

  it("come from the stack files: dev is small and throws everything away on destroy, prod has the page's numbers", () => {
    const dev = { protect: false, memoryMiB: 1024, cpus: 2, tls: "offered" };
    expect(readStackSettings("dev")).toEqual({ ...readStackSettings("prod"), ...dev });
    expect(readStackSettings("prod")).toMatchObject({
      protect: true,
      namePrefix: "pg16",
      primaryPort: 5432,
      replicaPort: 5433,
      memoryMiB: 16_384,
      maxConnections: 200,
    });
  });
});
