import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Recorded by `test/e2e/previews.test.ts` from a real stack, and held against one by every run of it. */
export const recordedPreviews = [
  "create",
  "no change",
  "add service",
  "add read",
  "remove read",
  "freeze service",
  "rotate passwords",
  "work_mem",
  "shared_buffers",
  "image",
  "remove service",
  "drift",
  "replica gone",
] as const;

export type RecordedPreview = (typeof recordedPreviews)[number];

const folder = join(__dirname, "..", "pure", "previews");

/** What pulumi printed, without what nobody reads: see {@link slim}. */
export function previewFile(name: RecordedPreview): string {
  return join(folder, `${name.replaceAll(" ", "-")}.json`);
}

/** What is made of it. */
export function summaryFile(name: RecordedPreview): string {
  return join(folder, `${name.replaceAll(" ", "-")}.md`);
}

export function recordedPreview(name: RecordedPreview): string {
  return readFileSync(previewFile(name), "utf8");
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly oldState?: { readonly inputs?: unknown; readonly retainOnDelete?: boolean };
  readonly newState?: { readonly inputs?: unknown; readonly retainOnDelete?: boolean };
  readonly diffReasons?: unknown;
  readonly replaceReasons?: unknown;
}

/**
 * A preview of a test's stack as one of a stack with the default names: without outputs, configuration and what is the same, and
 * without what only this run has (names, ports, folders).
 */
export function slim(
  text: string,
  of: { readonly prefix: string; readonly port: number; readonly folder: string },
): string {
  const { steps = [], diagnostics = [] } = JSON.parse(text) as {
    steps?: readonly Step[];
    diagnostics?: readonly { severity: string; message: string }[];
  };
  const state = (one: Step["oldState"]) =>
    one === undefined ? undefined : { inputs: one.inputs, retainOnDelete: one.retainOnDelete };
  const kept = {
    steps: steps.map(({ op, urn, oldState, newState, diffReasons, replaceReasons }) =>
      op === "same" || op === "refresh"
        ? { op, urn }
        : { op, urn, oldState: state(oldState), newState: state(newState), diffReasons, replaceReasons },
    ),
    diagnostics: diagnostics.map(({ severity, message }) => ({ severity, message })),
  };
  const named = JSON.stringify(kept, null, 1)
    .replaceAll(of.folder, "/platform")
    .replaceAll(of.prefix, "pg16")
    .replaceAll(of.prefix.replaceAll("-", "_"), "pg16")
    .replaceAll(String(of.port), "5432")
    .replaceAll(String(of.port + 1), "5433");
  return `${named}\n`;
}
