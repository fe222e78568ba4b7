import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { endpointsOf } from "../../components/access/endpoints";
import { planAccess } from "../../components/access/plan";
import { renderPlan } from "../../components/access/sql";
import { dockerNames } from "../../components/naming";
import type { Settings } from "../../components/settings-rules";
import { findLogin } from "../../ops/connect";
import { explain, OperatorError } from "../../ops/operator-error";
import { projectFolder, readStack, readStackSettings } from "../../ops/stack-file";
import { isPrintable, printable, show } from "../../services/printable";
import { services } from "../../services/registry";
import { resolveService, type Service } from "../../services/service";
import { validateRegistry } from "../../services/validate";
import { expectOneLine, hostileText, hostileValue, refusalOf, shownText, unprintable } from "../support/hostile";

// Whatever is written into the registry, a stack's file or a command line is refused in one line that names the place, or
// means what it says.
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "centraldb-hostile-"));
  copyFileSync(join(projectFolder, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const prod = readStackSettings("prod");

describe("a text for people", () => {
  it("is shown on one line, and stays as it is where it can be shown", () => {
    fc.assert(
      fc.property(hostileText, hostileValue, (text, value) => {
        expect(printable(text)).not.toMatch(unprintable);
        expect(isPrintable(text)).toBe(!unprintable.test(text));
        if (isPrintable(text)) expect(printable(text)).toBe(text);
        expectOneLine(show(value), /^.{1,80}$/u);
      }),
    );
  });
});

describe("an error at the terminal", () => {
  it("is what it looks like line by line, whatever an owner has raised in it", () => {
    const raised = "ERROR:  \u001b[2J\u009b31mall is well\u202e\r\u2028";
    const shown = "ERROR:  \\x1b[2J\\x9b31mall is well\\u202e\\x0d\\u2028";
    expect(explain(new OperatorError(`gt cannot be restored: ${raised}\nnothing is kept`))).toBe(
      `gt cannot be restored: ${shown}\nnothing is kept`,
    );
    const [first, ...stack] = explain(new Error(raised)).split("\n");
    expect(first).toBe(`Error: ${shown}`);
    expect(stack.filter((line) => !/^ {4}at /.test(line))).toEqual([]);
    expect(stack.length).toBeGreaterThan(2);
  });
});

describe("a registry", () => {
  const good: Service = { name: "gatherer", code: "gt", purpose: "Collects.", tables: ["gt_raw_data"] };
  const fields = Object.keys(resolveService(good));
  const field = fc.oneof(fc.constantFrom(...fields), hostileText);
  const value = fc.oneof(hostileValue, hostileText, shownText);
  const oddField = fc.tuple(fc.constantFrom(...fields), value).map(([key, odd]) => ({ ...good, [key]: odd }));
  const literal = fc.oneof(
    oddField,
    fc.dictionary(field, value, { maxKeys: 3 }).map((odd) => ({ ...good, ...odd })),
    hostileValue,
  );
  const list = fc.oneof(
    oddField.map((odd) => [odd]),
    fc.array(literal, { maxLength: 2 }),
    fc.sparseArray(literal, { maxLength: 4 }),
    hostileValue,
  );

  const examples: [unknown][] = [
    [[good, , good]],
    [[{ ...good, reads: undefined }]],
    [[{ ...good, purpose: "a\u009b" }]],
  ];

  it("is refused a line for each problem, or means SQL without a surprise", () => {
    fc.assert(
      fc.property(list, (registry) => {
        const problems = validateRegistry(registry as readonly Service[], 200);
        for (const { path, message } of problems) expectOneLine(`${path}: ${message}`, /^services(\W|$)/);
        if (problems.length > 0) return;
        const accepted = planAccess(registry as readonly Service[], { database: "appdb", extensions: [] });
        expect(renderPlan(accepted, new Map())).not.toMatch(
          /NaN|undefined|\bnull\b|Infinity|\[object|[\u0000-\u0008\u007f]/,
        );
        expect(accepted.services.filter(({ purpose }) => unprintable.test(purpose))).toEqual([]);
      }),
      { numRuns: 1000, examples },
    );
  });
});

describe("a stack's file", () => {
  const key = fc.oneof(fc.constantFrom(...Object.keys(prod)), hostileText).map((name) => `centraldb:${name}`);
  const value = fc.oneof(hostileText, fc.jsonValue(), fc.dictionary(hostileText, fc.oneof(hostileText, fc.double())));
  const config = fc.dictionary(fc.oneof(key, fc.constant("docker:host")), value, { maxKeys: 3 });
  const write = (text: string) => {
    writeFileSync(join(folder, "Pulumi.fuzz.yaml"), text);
    return folder;
  };

  const expectRefusal = (text: string): boolean => {
    const [first = "", ...lines] = refusalOf(() => readStack("fuzz", write(text)))?.split("\n") ?? [];
    if (lines.length > 0) expect(first).toBe("Pulumi.fuzz.yaml cannot be used:");
    else if (first !== "") expectOneLine(first, /^Pulumi\.fuzz\.yaml/);
    for (const line of lines) expectOneLine(line, /^ {2}centraldb:/);
    return first !== "";
  };

  it("is refused a line for each setting, or each is what the file says", () => {
    fc.assert(fc.property(hostileText, (text) => void expectRefusal(text)));
    fc.assert(
      fc.property(fc.oneof(config, value), (content) => {
        if (expectRefusal(stringify({ config: content })) || content === null) return;
        expect(content).toBeTypeOf("object");
        const { settings } = readStack("fuzz", folder);
        for (const [key, given] of Object.entries(content)) {
          const got = settings[key.replace(/^centraldb:/, "") as keyof Settings];
          if (!key.startsWith("centraldb:") || given === null || typeof got === "object") continue;
          expect(`${key}: ${got}`).toBe(`${key}: ${String(given)}`);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("is read with an rclone.conf that only its passphrase opens", () => {
    const encrypted = { "centraldb:backupCopy": "vault:", "centraldb:backupCopyConfig": { secure: "v1:abc" } };
    const { settings } = readStack("fuzz", write(stringify({ config: encrypted })));
    expect(settings.backupCopy).toBe("vault:");
  });

  it("is found by a name that is no path and no option, and no other", () => {
    mkdirSync(join(folder, "Pulumi..."), { recursive: true });
    for (const decoy of ["Pulumi.../x.yaml", "Pulumi.-x.yaml", "Pulumi.a.b.yaml"])
      writeFileSync(join(folder, decoy), "");
    const name = fc.oneof(hostileText, fc.constantFrom("../x", "-x", "a.b", "..", "dev\n"));
    fc.assert(
      fc.property(name, (stack) => {
        expectOneLine(refusalOf(() => readStack(stack, folder)) ?? "", /^unknown stack "/);
      }),
    );
  });

  it("makes names of Docker and PostgreSQL, addresses and images, and no options of commands", () => {
    const changed = fc.constantFrom("namePrefix" as const, "image" as const, "bindAddress" as const);
    const value = fc.oneof(hostileText, fc.stringMatching(/^[\w./:@-]{1,40}$/));
    fc.assert(
      fc.property(changed, value, (key, text) => {
        const refused = refusalOf(() =>
          readStack("fuzz", write(stringify({ config: { [`centraldb:${key}`]: text } }))),
        );
        if (refused !== undefined) expect(refused).toMatch(`\n  centraldb:${key}: expected `);
        if (refused !== undefined) return;
        const { settings } = readStack("fuzz", folder);
        const { primary, network } = dockerNames(settings.namePrefix);
        expect([settings.image, network, primary.container].filter((word) => /^-|[^\w./:@-]/.test(word))).toEqual([]);
        expect(primary.slot).toMatch(/^[a-z0-9_]{1,63}$/);
        const { host, port } = endpointsOf(settings).rw.host;
        expect(new URL(`http://${host}:${port}`).host).toBe(`${host}:${port}`);
      }),
    );
  });
});

describe("a service and a tier on the command line", () => {
  it("are refused where nobody has such a name", () => {
    fc.assert(
      fc.property(hostileText, (name) => {
        expectOneLine(refusalOf(() => findLogin(services, name, "app")) ?? "", /^unknown service "/);
        expectOneLine(refusalOf(() => findLogin(services, "gt", name)) ?? "", /^unknown tier "/);
      }),
    );
  });
});
