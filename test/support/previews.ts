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

interface State {
  readonly inputs?: Readonly<Record<string, unknown>> | undefined;
  readonly retainOnDelete?: boolean | undefined;
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly oldState?: State;
  readonly newState?: State;
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
  const kept = {
    steps: steps.map(({ op, urn, oldState, newState, diffReasons, replaceReasons }) =>
      op === "same" || op === "refresh"
        ? { op, urn }
        : {
            op,
            urn,
            oldState: slimState(oldState, newState),
            newState: slimState(newState, oldState),
            diffReasons,
            replaceReasons,
          },
    ),
    diagnostics: diagnostics.map(({ severity, message }) => ({ severity, message })),
  };
  const named = JSON.stringify(kept, null, 1)
    .replaceAll(of.folder, "/platform")
    .replaceAll(/ at \/\S*\/pulumi-/g, " at /usr/local/bin/pulumi-")
    .replaceAll(of.prefix, "pg16")
    .replaceAll(of.prefix.replaceAll("-", "_"), "pg16")
    .replaceAll(String(of.port), "5432")
    .replaceAll(String(of.port + 1), "5433");
  return `${named}\n`;
}

/** Of a long SQL the lines that the other side has as well are left out. */
function slimState(one: State | undefined, other: State | undefined): State | undefined {
  if (one === undefined) return undefined;
  const { inputs, retainOnDelete } = one;
  const [sql, otherSql] = [inputs?.["stdin"], other?.inputs?.["stdin"]];
  if (typeof sql !== "string" || typeof otherSql !== "string") return { inputs, retainOnDelete };
  const others = new Set(otherSql.split("\n"));
  const own = sql.split("\n").filter((line, index) => index === 0 || !others.has(line));
  return { inputs: { ...inputs, stdin: own.join("\n") }, retainOnDelete };
}
