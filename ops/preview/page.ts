import { commentLimit } from "../access/diff-page";
import { cell, code, markdownTable } from "../markdown";
import { containerType, networkType, volumeType } from "../../components/lifecycle/state";
import { dangersOf, imageType, nameOf, passwordType, restartReasons } from "./dangers";
import { shown, type Notice, type Operation, type Preview, type ResourceChange } from "./read-preview";
import { accessChange, commandType, compareLines, sqlLines, type LineChange } from "./sentences";

/** So many lines stand open; more are folded. */
const open = 40;
const whole = "`pulumi preview --diff`";

/**
 * What `up` would do, as Markdown for a comment of a pull request: what must be read first on top, then rights as SQL, servers and
 * volumes by name, configuration by line.
 * @param limit in characters: beyond it the longest sections are only counted
 */
export function formatPreview(preview: Preview, limit = commentLimit): string {
  const { stack, changes, drift, notices } = preview;
  const title = `## Preview${stack === undefined ? "" : ` of stack ${code(stack)}`}\n`;
  const top = [title, tally(preview), ...alert("CAUTION", dangersAndErrors(changes, notices))];
  const below = [
    ...alert("WARNING", warnings(changes, notices)),
    ...driftSection(drift),
    ...sections(changes).map(({ heading, lines, text }) => ({ heading, lines, text })),
  ];
  const render = (longest: number) =>
    [
      ...top,
      ...below.map((part) => {
        if (typeof part === "string") return part;
        const { heading, lines, text } = part;
        return text.length <= longest ? `### ${heading}\n\n${text}` : `### ${heading}\n\n${lines} lines, see ${whole}.`;
      }),
    ].join("\n") + "\n";
  const lengths = below.flatMap((part) => (typeof part === "string" ? [] : [part.text.length])).sort((a, b) => b - a);
  for (const longest of [Infinity, ...lengths.map((length) => length - 1)]) {
    const page = render(longest);
    if (page.length <= limit) return page;
  }
  return `${top.join("\n").slice(0, limit - 100)}\n\nToo long for a comment, see ${whole}.\n`;
}

/** `up` would change nothing, and has nothing to say. */
export function isQuiet({ changes, drift, notices }: Preview): boolean {
  return !changes.some(isThing) && !drift.some(isThing) && notices.length === 0;
}

const words: Readonly<Record<Operation, string>> = {
  create: "creates",
  import: "takes over",
  update: "updates",
  replace: "replaces",
  delete: "deletes",
};

/** A component holds resources, and is none. */
const isThing = ({ type }: ResourceChange) => !type.startsWith("centraldb:") && type !== "pulumi:pulumi:Stack";

function tally({ changes, notices }: Preview): string {
  if (notices.some(({ severity }) => severity === "error")) return "`up` **would fail**, and says why below.\n";
  const things = changes.filter(isThing);
  if (things.length === 0) return "No changes.\n";
  const parts = (Object.keys(words) as Operation[]).flatMap((operation) => {
    const number = things.filter((change) => change.operation === operation).length;
    return number === 0 ? [] : [`${words[operation]} ${number}`];
  });
  const last = things.length === 1 ? "resource" : "resources";
  return `\`up\` ${parts.join(", ")} ${last}.\n`;
}

function dangersAndErrors(changes: readonly ResourceChange[], notices: readonly Notice[]): readonly string[] {
  const errors = notices.flatMap(({ severity, message }) => (severity === "error" ? [linesOfError(message)] : []));
  return [...errors, ...dangersOf(changes)];
}

/** Of a stack trace, and of pulumi's advice around it, only what was said. */
function linesOfError(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
  return lines.map((line) => cell(line.trim())).join("<br>");
}

/** The program announces restarts too; here the containers say it. */
function warnings(changes: readonly ResourceChange[], notices: readonly Notice[]): readonly string[] {
  const restarts = changes.some(({ type, operation }) => type === containerType && operation === "replace");
  return notices.flatMap(({ severity, message }) =>
    severity === "error" || (restarts && message.startsWith("up restarts ")) ? [] : [cell(message)],
  );
}

/** GitHub draws it as a block with a coloured edge. */
function alert(kind: "CAUTION" | "WARNING", lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  const mark = kind === "CAUTION" ? "🔴 " : "";
  return [[`> [!${kind}]`, ...lines.map((line) => `> - ${mark}${line}`), ""].join("\n")];
}

interface Section {
  readonly heading: string;
  readonly lines: number;
  readonly text: string;
}

function sections(changes: readonly ResourceChange[]): readonly Section[] {
  const access = changes.map((change) => ({ change, lines: accessChange(change) }));
  const told = new Set(access.flatMap(({ change, lines }) => (lines.length > 0 ? [change] : [])));
  const engine = changes.filter(({ type }) => engineTypes.has(type));
  const configuration = changes.filter((change) => configurationFiles(change).length > 0);
  const passwords = changes.filter(({ type }) => type === passwordType);
  const listed = new Set([...told, ...engine, ...configuration, ...passwords]);
  const others = changes.filter((change) => isThing(change) && !listed.has(change));
  const sql = changes.flatMap(guardLines);
  return [
    ...diffSection(
      "Roles and rights",
      access.flatMap(({ lines }) => lines),
    ),
    ...(sql.length === 0 ? [] : [section("SQL of the platform", sql.length, folded(sql.length, fence(sql)))]),
    ...engineSection(engine),
    ...configuration.flatMap((change) =>
      configurationFiles(change).flatMap(({ file, lines }) => diffSection(file, lines)),
    ),
    ...listSection("Passwords", passwords),
    ...listSection("Jobs and the rest", others),
  ];
}

const section = (heading: string, lines: number, text: string): Section => ({ heading, lines, text: `${text}\n` });

function diffSection(heading: string, lines: readonly LineChange[]): readonly Section[] {
  if (lines.length === 0) return [];
  return [section(heading, lines.length, folded(lines.length, fence(lines)))];
}

function fence(lines: readonly LineChange[]): string {
  const text = lines.map(({ sign, line }) => `${sign} ${line}`);
  // Whatever stands in them, the fence is longer.
  const longest = Math.max(2, ...[...text.join("\n").matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = "`".repeat(longest + 1);
  return [`${ticks}diff`, ...text, ticks].join("\n");
}

function folded(lines: number, text: string): string {
  return lines <= open ? text : `<details><summary>${lines} lines</summary>\n\n${text}\n\n</details>`;
}

const engineTypes: ReadonlyMap<string, string> = new Map([
  [containerType, "container"],
  [volumeType, "volume"],
  [networkType, "network"],
  [imageType, "image"],
]);

function engineSection(changes: readonly ResourceChange[]): readonly Section[] {
  if (changes.length === 0) return [];
  const rows = changes.map((change) => {
    const why = change.operation === "create" ? "" : restartReasons(change).map(code).join(", ");
    return [engineTypes.get(change.type) ?? "", code(nameOf(change)), words[change.operation], why];
  });
  return [section("Containers and volumes", rows.length, markdownTable([["", "name", "`up` …", "why"], ...rows]))];
}

/** What the configuration job's environment holds of files. */
const files: Readonly<Record<string, string>> = {
  POSTGRESQL_CONF: "postgresql.conf",
  PG_HBA_CONF: "pg_hba.conf",
  PG_IDENT_CONF: "pg_ident.conf",
};

interface FileChange {
  readonly file: string;
  readonly lines: readonly LineChange[];
}

function configurationFiles({ type, operation, before, after }: ResourceChange): readonly FileChange[] {
  if (type !== commandType || operation === "create") return [];
  const [old, now] = [before, after].map(({ environment }) => (environment ?? {}) as ResourceChange["before"]);
  return Object.entries(files).flatMap(([variable, file]) => {
    const [was, is] = [old?.[variable], now?.[variable]].map(shown);
    if (was === undefined || is === undefined) return [];
    const lines = compareLines(was.split("\n"), is.split("\n"));
    return lines.length === 0 ? [] : [{ file, lines }];
  });
}

/** What changes of the guard and its kin, of which no single line is a statement. */
function guardLines(change: ResourceChange): readonly LineChange[] {
  if (change.type !== commandType || change.operation === "create") return [];
  const all = compareLines(sqlLines(change.before), sqlLines(change.after));
  const statements = new Set(accessChange(change).map(({ line }) => line));
  // Tables of what is planned: what follows from them stands in the statements.
  return all.filter(({ line }) => !statements.has(line) && !/^(INSERT INTO pg_temp\.| {2}\('.*'\)[,;]$)/.test(line));
}

/** Names of what needs no more to be said, by what is done with them. */
function listSection(heading: string, changes: readonly ResourceChange[]): readonly Section[] {
  if (changes.length === 0) return [];
  const lines = (Object.keys(words) as Operation[]).flatMap((operation) => {
    const names = changes.filter((change) => change.operation === operation).map(({ name }) => code(name));
    return names.length === 0 ? [] : [`- ${words[operation]} ${names.join(", ")}`];
  });
  return [section(heading, changes.length, lines.join("\n"))];
}

function driftSection(drift: readonly ResourceChange[]): readonly Section[] {
  const things = drift.filter(isThing);
  if (things.length === 0) return [];
  const lines = things.map((change) => {
    const what = change.operation === "delete" ? "is gone" : `has another ${change.because.map(code).join(", ")}`;
    return `- ${code(nameOf(change))} (${code(change.name)}) ${what}`;
  });
  const text = `Changed since the last \`up\`, by hand or by somebody else; \`up\` changes it back.\n\n${lines.join("\n")}`;
  return [section("Drift", lines.length, text)];
}
