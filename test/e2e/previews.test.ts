import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatPreview } from "../../ops/preview/page";
import { readPreview } from "../../ops/preview/read-preview";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { previewFile, recordedPreviews, slim, summaryFile, type RecordedPreview } from "../support/previews";
import { prepareStack, type TestStack } from "../support/stack";
import { buildOlderStandInImage, olderStandInImage, standInImage } from "../support/stand-in-image";

// What people are shown of a change, from the previews of a real stack. With CENTRALDB_RECORD=1 they become the recorded ones.
const record = process.env["CENTRALDB_RECORD"] === "1";

const reading = (name: string, ...reads: string[]) =>
  services.map((service) => (service.name === name ? { ...service, reads } : service));
const registry = reading("aggregator", "ledger");
const archivist: Service = { name: "archivist", code: "ar", purpose: "Keeps what others made.", tables: ["ar_files"] };
const registryWith = (name: string, change: Partial<Service>) =>
  registry.map((service) => (service.name === name ? { ...service, ...change } : service));

let stack: TestStack;
beforeAll(async () => {
  buildOlderStandInImage();
  stack = await prepareStack({ "centraldb:image": olderStandInImage });
  stack.setRegistry(registry);
  // As npm run up makes them.
  mkdirSync(join(stack.folder, ".pulumi-state"));
  writeFileSync(join(stack.folder, ".pulumi-state", "passphrase"), "of this test");
  const { status, output } = stack.pulumi("stack", "init");
  if (status !== 0) throw new Error(output);
});
afterAll(() => stack.clean());

function preview(...options: string[]): string {
  const { stdout } = stack.pulumi("preview", "--json", ...options);
  return slim(stdout, { prefix: stack.prefix, port: stack.port, folder: stack.folder });
}

interface Scenario {
  /** What the preview is of; what it returns takes that back. */
  readonly change: () => () => void;
  readonly options?: readonly string[];
}

const registryIs = (changed: readonly Service[]): Scenario => ({
  change: () => {
    stack.setRegistry(changed);
    return () => stack.setRegistry(registry);
  },
});

const settingIs = (key: string, value: unknown, usual: unknown): Scenario => ({
  change: () => {
    stack.setConfig(key, value);
    return () => stack.setConfig(key, usual);
  },
});

const postgresqlSettings = (settings: object) => settingIs("centraldb:postgresqlSettings", settings, {});
const unchanged: Scenario = { change: () => () => undefined };

const scenarios: Readonly<Record<Exclude<RecordedPreview, "create" | "drift" | "replica gone">, Scenario>> = {
  "no change": unchanged,
  "add service": registryIs([...registry, archivist]),
  "add read": registryIs(registryWith("aggregator", { reads: ["ledger", "gatherer"] })),
  "remove read": registryIs(services),
  "freeze service": registryIs(registryWith("gatherer", { lifecycle: "frozen" })),
  "rotate passwords": registryIs(registryWith("gatherer", { rotation: 2 })),
  work_mem: postgresqlSettings({ work_mem: "9MB" }),
  shared_buffers: postgresqlSettings({ shared_buffers: "180MB" }),
  image: settingIs("centraldb:image", standInImage, olderStandInImage),
  "remove service": registryIs(registry.slice(0, -1)),
};

function expectAsRecorded(name: RecordedPreview, text: string): void {
  const summary = formatPreview(readPreview(text, name));
  if (record) {
    writeFileSync(previewFile(name), text);
    writeFileSync(summaryFile(name), summary);
  }
  expect(summary).toBe(readFileSync(summaryFile(name), "utf8"));
}

describe("a preview of a real stack says what was recorded:", () => {
  it("create", () => {
    expectAsRecorded("create", preview());
    const { status, output } = stack.up("--skip-preview");
    expect(status, output).toBe(0);
  });

  it.each(Object.entries(scenarios))("%s", (name, { change, options = [] }) => {
    const undo = change();
    const text = preview(...options);
    undo();
    expectAsRecorded(name as RecordedPreview, text);
  });

  it("drift", async () => {
    const superuser = await stack.superuser();
    await superuser.query("SET ROLE gtown; CREATE TABLE gt.gt_kept (n integer); RESET ROLE");
    await superuser.query("REVOKE SELECT ON ALL TABLES IN SCHEMA gt FROM gtuser; ALTER ROLE gtapp CONNECTION LIMIT 50");
    const text = preview("--refresh");
    await superuser.query("GRANT SELECT ON gt.gt_kept TO gtuser; ALTER ROLE gtapp CONNECTION LIMIT 5");
    await superuser.end();
    expectAsRecorded("drift", text);
  });

  it("replica gone", () => {
    execFileSync("docker", ["rm", "-f", `${stack.prefix}-replica`]);
    expectAsRecorded("replica gone", preview());
  });

  it("all of them are recorded", () => {
    expect(recordedPreviews.filter((name) => !existsSync(previewFile(name)))).toEqual([]);
  });
});
