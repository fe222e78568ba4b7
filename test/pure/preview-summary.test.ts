import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatPreview, isQuiet } from "../../ops/preview/page";
import { readPreview } from "../../ops/preview/read-preview";
import { recordedPreview, recordedPreviews, summaryFile } from "../support/previews";

const commentLimit = 65_536;
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

interface State {
  readonly inputs: object;
  readonly retainOnDelete?: boolean;
}

interface Step {
  readonly op: string;
  readonly type: string;
  readonly name: string;
  readonly old?: State;
  readonly now?: State;
  readonly reasons?: readonly string[];
}

function preview(steps: readonly Step[], diagnostics: readonly object[] = []): string {
  return JSON.stringify({
    steps: steps.map(({ op, type, name, old, now, reasons }) => ({
      op,
      urn: `urn:pulumi:dev::centraldb::centraldb:some:Parent$${type}::${name}`,
      oldState: old,
      newState: now,
      diffReasons: reasons,
    })),
    diagnostics,
  });
}

const summary = (steps: readonly Step[], diagnostics: readonly object[] = []) =>
  formatPreview(readPreview(preview(steps, diagnostics), "test"));
/** The lines of the red block. */
const red = (steps: readonly Step[]) => summary(steps).match(/(?<=^> - 🔴 ).*$/gm) ?? [];

const container = "docker:index/container:Container";
const volume = "docker:index/volume:Volume";
const role = "postgresql:index/role:Role";
const grant = "postgresql:index/grant:Grant";
const command = "command:local:Command";
const inputs = (named: object): State => ({ inputs: named });

describe("the preview of a real stack", () => {
  it.each(recordedPreviews)("%s: is summarised as recorded", (name) => {
    expect(formatPreview(readPreview(recordedPreview(name), name))).toBe(readFileSync(summaryFile(name), "utf8"));
  });

  it("stands in the README as it is", () => {
    const readme = readFileSync(join(__dirname, "..", "..", "README.md"), "utf8");
    expect(readme).toContain(`~~~~markdown\n${readFileSync(summaryFile("shared_buffers"), "utf8")}~~~~\n`);
  });

  it("is quiet only where nothing changes", () => {
    const quiet = recordedPreviews.filter((name) => isQuiet(readPreview(recordedPreview(name), name)));
    expect(quiet).toEqual(["no change"]);
  });

  it.each(recordedPreviews)("%s: shows nothing that is secret or not known yet", (name) => {
    const whole = recordedPreview(name);
    fc.assert(
      fc.property(fc.constantFrom("[secret]", unknown), fc.infiniteStream(fc.boolean()), (mark, hides) => {
        const hidden = JSON.parse(whole, (key, value: unknown) =>
          typeof value === "string" &&
          !["op", "urn", "severity", "message"].includes(key) &&
          hides.next().value === true
            ? mark
            : value,
        ) as object;
        const page = formatPreview(readPreview(JSON.stringify(hidden), name));
        expect(page).not.toContain("secret]");
        expect(page).not.toContain(unknown);
      }),
      { numRuns: 20 },
    );
  });

  it("is cut where it is longer than a comment, the longest first, and what must be read stays", () => {
    const create = readPreview(recordedPreview("create"), "create");
    expect(formatPreview(create).length).toBeLessThan(commentLimit);
    const cut = formatPreview(create, 5000);
    expect(cut.length).toBeLessThanOrEqual(5000);
    expect(cut).toMatch(/### Roles and rights\n\n\d{3} lines, see `pulumi preview --diff`\.\n/);
    expect(cut).toContain("| container | `pg16-primary` | creates |  |");

    const image = readPreview(recordedPreview("image"), "image");
    const small = formatPreview(image, 600);
    expect(small.length).toBeLessThanOrEqual(600);
    expect(small).toContain("> - 🔴 **restart of `pg16-primary`, `pg16-replica`**");
    const message = "x".repeat(commentLimit);
    const long = formatPreview({ ...image, notices: [{ severity: "error", message }] });
    expect(long.length).toBeLessThanOrEqual(commentLimit);
    expect(long).toContain("Too long for a comment");
  });
});

describe("what pulumi says beside its steps", () => {
  it("is told but for where plugins are from, whatever words are in it", () => {
    const plugin = "warning: using pulumi-resource-docker from $PATH at /usr/local/bin/pulumi-resource-docker\n";
    const refusal = "refused: sc has the backup's rows no more: a table called x using pulumi-x from $PATH at y";
    const text = summary(
      [],
      [
        { severity: "warning", message: plugin },
        { severity: "error", message: refusal },
      ],
    );
    expect(text).not.toContain("pulumi-resource-docker");
    expect(text).toContain("using pulumi-x from");
  });
});

describe("the red block", () => {
  const data = inputs({ name: "pg16-primary-data" });
  const labels = (...pairs: [string, string][]) => ({
    name: "pg16-primary",
    labels: pairs.map(([label, value]) => ({ label, value })),
  });

  it.each<[string, Step, string]>([
    [
      "a data volume that is deleted",
      { op: "delete", type: volume, name: "cluster-primary-data", old: data },
      "**data are deleted**: `pg16-primary-data`. Every row in it that neither the other node nor a backup has is lost.",
    ],
    [
      "one that is replaced",
      { op: "replace", type: volume, name: "cluster-primary-data", old: data, now: data, reasons: ["driver"] },
      "**data are deleted**: `pg16-primary-data`. Every row in it that neither the other node nor a backup has is lost.",
    ],
    [
      "one that pulumi only lets go of",
      { op: "delete", type: volume, name: "cluster-primary-data", old: { ...data, retainOnDelete: true } },
      "`pg16-primary-data` is no longer this stack's, and stays where it is.",
    ],
    [
      "a retired service's schema, which pulumi only lets go of and up drops",
      {
        op: "delete",
        type: "postgresql:index/schema:Schema",
        name: "gatherer-schema",
        old: { ...inputs({ name: "gt" }), retainOnDelete: true },
      },
      "**schema `gt` is dropped with all there is in it**: its service is retired, and is in the backup that `up` names.",
    ],
    [
      "the backups' volume",
      { op: "delete", type: volume, name: "backup-volume", old: inputs({ name: "pg16-backups" }) },
      "**backups are deleted**: `pg16-backups`, every one, and the WAL between them. A second copy stays.",
    ],
    [
      "the backup's container, which goes",
      { op: "delete", type: container, name: "backup-container", old: inputs({ name: "pg16-backup" }) },
      "**`pg16-backup` is removed**: nobody makes backups any more. Those there are stay in the volume.",
    ],
    [
      "the drill's volume",
      { op: "delete", type: volume, name: "backup-drill-volume", old: inputs({ name: "pg16-drill" }) },
      "**what drills have found is deleted**: `pg16-drill`. The next one is made at once.",
    ],
    [
      "the drill's container, which goes",
      { op: "delete", type: container, name: "backup-drill-container", old: inputs({ name: "pg16-drill" }) },
      "**`pg16-drill` is removed**: nobody restores the backups any more, and knows that they can be.",
    ],
    [
      "the configuration's volume",
      { op: "delete", type: volume, name: "cluster-config", old: inputs({ name: "pg16-config" }) },
      "**`pg16-config` is removed** with the configuration in it: both servers need it to start.",
    ],
    [
      "a schema",
      { op: "delete", type: "postgresql:index/schema:Schema", name: "gatherer-schema", old: inputs({ name: "gt" }) },
      "**schema `gt` is dropped**; while it holds a table PostgreSQL refuses, and `up` stops half way.",
    ],
    [
      "a role",
      {
        op: "replace",
        type: role,
        name: "gatherer-app",
        old: inputs({ name: "gtapp" }),
        now: inputs({ name: "gtapp" }),
      },
      "**role `gtapp` is dropped**: nobody gets in as it, its rights are gone, what it owns is `postgres`'s.",
    ],
    [
      "a container that is made anew for a setting that was the default",
      {
        op: "replace",
        type: container,
        name: "primary-container",
        old: inputs(labels()),
        now: inputs(labels(["centraldb.restart.max_wal_senders", "max_wal_senders = 20"])),
      },
      "**restart of `pg16-primary`**, the primary first (`max_wal_senders = default → 20`). Each is stopped cleanly and made anew " +
        "on its data: its sessions end, and nobody gets in there for seconds (2 to 4 measured; longer where the shutdown has much to write).",
    ],
    [
      "a container that is removed",
      { op: "delete", type: container, name: "primary-container", old: inputs(labels()) },
      "**`pg16-primary` is removed**: stopped cleanly, its data stay in the volume; nobody gets in there any more.",
    ],
    [
      "the network",
      { op: "replace", type: "docker:index/network:Network", name: "cluster-network", now: inputs({ name: "pg16" }) },
      "**network `pg16` is removed**: replication stops, and both servers are made anew.",
    ],
    [
      "the authority",
      { op: "replace", type: "tls:index/selfSignedCert:SelfSignedCert", name: "certificates-authority" },
      "**another authority**: from then on clients that verify the servers need the new output `caCertificate`.",
    ],
    [
      "the mark of the state",
      { op: "replace", type: "random:index/randomUuid:RandomUuid", name: "cluster-identity" },
      "**another mark of this state**, for which both servers are made anew.",
    ],
    [
      "the provider of grants",
      { op: "replace", type: "pulumi:providers:postgresql", name: "server" },
      "**another provider of roles and grants**: what it manages may be made anew.",
    ],
    [
      "what nobody has thought of",
      { op: "delete", type: "docker:index/secret:Secret", name: "mystery" },
      "**delete of `mystery`** (`docker:index/secret:Secret`).",
    ],
  ])("names %s", (_, step, line) => {
    expect(red([step])).toEqual([line]);
  });

  it.each<[string, Step]>([
    ["a grant", { op: "delete", type: grant, name: "gatherer-gtuser-tables" }],
    ["a job that runs again", { op: "replace", type: command, name: "primary-ready" }],
    [
      "a certificate that is renewed",
      { op: "replace", type: "tls:index/locallySignedCert:LocallySignedCert", name: "x" },
    ],
    ["a component", { op: "delete", type: "centraldb:access:ServiceReads", name: "reads" }],
    ["a role that is made", { op: "create", type: role, name: "x", now: inputs({ name: "gtapp", login: false }) }],
    ["a container that is started the first time", { op: "create", type: container, name: "x", now: inputs({}) }],
  ])("does not name %s", (_, step) => {
    expect(red([step])).toEqual([]);
  });

  it("takes the steps of a replacement for one, and a refresh's in front for none", () => {
    const [old, now] = [
      inputs(labels(["centraldb.restart.image", "image = a"])),
      inputs(labels(["centraldb.restart.image", "image = b"])),
    ];
    const steps = [
      { op: "update", old, now: old },
      { op: "delete-replaced", old },
      { op: "replace", old, now },
      { op: "create-replacement", old, now },
    ].map((step) => ({ ...step, type: container, name: "primary-container" }));
    expect(red(steps)).toEqual([expect.stringContaining("(`image = a → b`)")]);
    expect(summary(steps)).toContain("`up` replaces 1 resource.");
    expect(summary([{ op: "refresh", type: container, name: "primary-container" }])).toContain("No changes.");
  });
});

describe("a summary", () => {
  it("says a grant whose privileges change by both sentences", () => {
    const of = (...privileges: string[]) =>
      inputs({ role: "gtapp", schema: "gt", objectType: "table", database: "appdb", privileges });
    const text = summary([{ op: "update", type: grant, name: "g", old: of("SELECT", "INSERT"), now: of("SELECT") }]);
    expect(text).toContain(
      "- GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA gt TO gtapp\n+ GRANT SELECT ON ALL TABLES IN SCHEMA gt TO gtapp",
    );
  });

  it("shows the lines of the platform's SQL that change, statements as rights, the rest as text", () => {
    const sql = (...lines: string[]) =>
      inputs({ stdin: ["BEGIN;", "CREATE TEMP TABLE x (y int);", ...lines, "COMMIT;"].join("\n") });
    const text = summary([
      {
        op: "update",
        type: command,
        name: "tiers-apply",
        old: sql("GRANT CONNECT ON DATABASE appdb TO gtapp;", "  v := 1;", "  ('gtapp', 'x'),"),
        now: sql("GRANT CONNECT ON DATABASE appdb TO gtuser;", "  v := 2;", "  ('gtuser', 'x'),"),
      },
    ]);
    expect(text).toContain(
      "### Roles and rights\n\n```diff\n- GRANT CONNECT ON DATABASE appdb TO gtapp\n+ GRANT CONNECT ON DATABASE appdb TO gtuser\n```\n",
    );
    expect(text).toContain("### SQL of the platform\n\n```diff\n-   v := 1;\n+   v := 2;\n```\n");
  });

  it("leaves nothing out: what has no words of its own is listed", () => {
    const text = summary([
      {
        op: "update",
        type: role,
        name: "gatherer-app",
        old: inputs({ name: "gtapp" }),
        now: inputs({ name: "gtapp" }),
        reasons: ["password"],
      },
      { op: "import", type: role, name: "ledger-app", old: inputs({ name: "lgapp" }), now: inputs({ name: "lgapp" }) },
    ]);
    expect(text).toContain("`up` takes over 1, updates 1 resources.");
    expect(text).toContain("### Jobs and the rest\n\n- takes over `lgapp`\n- updates `gtapp`\n");
  });

  it("takes no markup from names, messages or SQL", () => {
    const evil = "a`b\n```\n<img src=x> @team **bold**";
    const text = summary(
      [
        { op: "create", type: container, name: "c", now: inputs({ name: evil }) },
        {
          op: "create",
          type: grant,
          name: "g",
          now: inputs({ role: evil, schema: "gt", objectType: "schema", privileges: ["USAGE"] }),
        },
      ],
      [
        { severity: "warning", message: evil },
        { severity: "error", message: `${evil}\n    at Object.<anonymous> (/x.js:1:1)` },
      ],
    );
    expect(text).not.toMatch(/^\s*at /m);
    // In a fence that is longer than what is in it, and in spans of code, all is text.
    const outside = text.replace(/^(`{3,})diff\n[\s\S]*?\n\1$/gm, "").replace(/(`+)[^`].*?[^`]\1(?!`)/g, "");
    expect(outside).not.toMatch(/@team|(?<!\\)<img/);
  });

  it("says of errors only what was said, and that up would fail", () => {
    const text = summary(
      [],
      [{ severity: "error", message: "error: refused:\n  services.x: gone\n    at f (x.js:1:2)\n" }],
    );
    expect(text).toBe("## Preview\n\n`up` **would fail**.\n\n> [!CAUTION]\n> - 🔴 refused:<br>services.x: gone\n");
  });
});

describe("what is no preview", () => {
  it.each([
    ["", "it is empty"],
    ["error: no stack named 'dev' found", "Unexpected token"],
    ["[]", "it has neither steps nor diagnostics"],
    ["null", "it is no object"],
    ['{"result": "succeeded"}', "it has neither steps nor diagnostics"],
    ['{"steps": {}}', "steps are not a list"],
    ['{"steps": [{"op": "create"}]}', "steps are not a list"],
    ['{"steps": [], "diagnostics": ["x"]}', "steps are not a list"],
  ])("%j: is refused in one line", (text, why) => {
    expect(() => readPreview(text, "x.json")).toThrow(
      new RegExp(`^x\\.json: expected what pulumi preview --json prints, but .*${why}`),
    );
  });
});
