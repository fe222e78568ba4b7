import { printable } from "../../services/printable";
import { containerType, networkType, roleType, schemaType, volumeType } from "../../components/lifecycle/state";
import { commentLimit } from "../access/diff-page";
import { cell, code, markdownTable } from "../markdown";
import { dangersOf, imageType, isThing, nameOf, passwordType, reasonsOf } from "./dangers";
import { shown, type Notice, type Operation, type Preview, type ResourceChange } from "./read-preview";
import {
  accessChange,
  commandType,
  compareLines,
  defaultPrivilegesType,
  grantType,
  mergeFunctions,
  sqlLines,
  type LineChange,
} from "./sentences";

/** So many lines stand open; more are folded. */
const open = 60;
/** So many names are told; more are counted. */
const named = 6;

/**
 * What `up` would do, as Markdown for a comment of a pull request: what must be read first on top, then rights as SQL, servers and
 * volumes by name, configuration by line.
 * @param limit in characters: beyond it the longest sections are only counted
 */
export function formatPreview(preview: Preview, limit = commentLimit): string {
  const { stack, changes, notices } = preview;
  const errors = notices.filter(({ severity }) => severity === "error").map(({ message }) => linesOfError(message));
  const top = [
    `## Preview${stack === undefined ? "" : ` of stack ${code(stack)}`}\n`,
    errors.length > 0 ? "`up` **would fail**.\n" : tally(changes),
    ...alert("CAUTION", "🔴 ", [...errors, ...dangersOf(changes)]),
    ...alert("WARNING", "", warnings(changes, notices)),
  ].join("\n");
  const parts = sections(changes);
  const render = (longest: number) => top + parts.map((part) => renderSection(part, longest)).join("");
  for (const longest of [Infinity, ...parts.map(({ text }) => text.length - 1).sort((a, b) => b - a)]) {
    const page = render(longest);
    if (page.length <= limit) return page;
  }
  return `${top.slice(0, limit - 100)}\n\nToo long for a comment, see ${whole}.\n`;
}

/** `up` would change nothing, and has nothing to say. */
export function isQuiet({ changes, notices }: Preview): boolean {
  return !changes.some(isThing) && notices.length === 0;
}

const words: Readonly<Record<Operation, string>> = {
  create: "creates",
  import: "takes over",
  update: "updates",
  replace: "replaces",
  delete: "deletes",
};

function tally(changes: readonly ResourceChange[]): string {
  const things = changes.filter(isThing);
  if (things.length === 0) return "No changes.\n";
  const parts = (Object.keys(words) as Operation[]).flatMap((operation) => {
    const number = things.filter((change) => change.operation === operation).length;
    return number === 0 ? [] : [`${words[operation]} ${number}`];
  });
  return `\`up\` ${parts.join(", ")} ${things.length === 1 ? "resource" : "resources"}.\n`;
}

/** Of a stack trace only what was said. */
function linesOfError(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "" && !/^\s+at /.test(line));
  return lines.map((line) => cell(line.trim())).join("<br>");
}

/** The program announces restarts too; here the containers say it. */
function warnings(changes: readonly ResourceChange[], notices: readonly Notice[]): readonly string[] {
  const restarts = changes.some(({ type, operation }) => type === containerType && operation === "replace");
  const messages = notices.flatMap(({ severity, message }) =>
    severity === "error" || (restarts && message.startsWith("up restarts ")) ? [] : [cell(message)],
  );
  return [...new Set(messages)].sort();
}

/** GitHub draws it as a block with a coloured edge: red, yellow. */
function alert(kind: "CAUTION" | "WARNING", mark: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [[`> [!${kind}]`, ...lines.map((line) => `> - ${mark}${line}`), ""].join("\n")];
}

interface Section {
  readonly heading: string;
  readonly lines: number;
  readonly text: string;
}

const whole = "`pulumi preview --diff`";

function renderSection({ heading, lines, text }: Section, longest: number): string {
  return `\n### ${heading}\n\n${text.length <= longest ? text : `${lines} lines, see ${whole}.`}\n`;
}

function sections(changes: readonly ResourceChange[]): readonly Section[] {
  const passwords = changes.filter(({ type }) => type === passwordType);
  const engine = changes.filter(({ type }) => engineTypes.has(type));
  const configuration = changes.map((change) => ({ change, files: configurationFiles(change) }));
  const told = new Set([
    ...changes.filter((change) => accessChange(change).length > 0),
    ...configuration.flatMap(({ change, files }) => (files.length > 0 ? [change] : [])),
    ...engine,
    ...passwords,
    // Who gets a new password is told by it.
    ...(passwords.length > 0 ? changes.filter(isOnlyPassword) : []),
  ]);
  return [
    ...diffSection("Roles and rights", mergeFunctions(inOrder(changes))),
    ...diffSection("SQL of the platform", changes.flatMap(guardLines)),
    ...engineSection(engine),
    ...configuration.flatMap(({ files }) => files.flatMap(({ file, lines }) => diffSection(file, lines))),
    ...listSection("Passwords", passwords),
    ...listSection(
      "Jobs and the rest",
      changes.filter((change) => isThing(change) && !told.has(change)),
    ),
  ];
}

function isOnlyPassword({ type, operation, because }: ResourceChange): boolean {
  return type === roleType && operation === "update" && because.every((input) => input === "password");
}

/** What goes, what becomes another, what comes; each resource's lines together, roles before their rights. */
function inOrder(changes: readonly ResourceChange[]): readonly LineChange[] {
  const types = [roleType, schemaType, grantType, defaultPrivilegesType, commandType];
  const resources = types.flatMap((type) => changes.filter((change) => change.type === type)).map(accessChange);
  const has = (sign: LineChange["sign"]) => (lines: readonly LineChange[]) => lines.some((line) => line.sign === sign);
  return [
    ...resources.filter((lines) => !has("+")(lines)),
    ...resources.filter((lines) => has("+")(lines) && has("-")(lines)),
    ...resources.filter((lines) => has("+")(lines) && !has("-")(lines)),
  ].flat();
}

function diffSection(heading: string, lines: readonly LineChange[]): readonly Section[] {
  if (lines.length === 0) return [];
  const text = lines.map(({ sign, line }) => `${sign} ${printable(line)}`);
  // Whatever stands in them, the fence is longer.
  const longest = Math.max(2, ...[...text.join("\n").matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = "`".repeat(longest + 1);
  const fence = [`${ticks}diff`, ...text, ticks].join("\n");
  const folded = `<details><summary>${lines.length} lines</summary>\n\n${fence}\n\n</details>`;
  return [{ heading, lines: lines.length, text: lines.length <= open ? fence : folded }];
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
    const why = change.operation === "create" ? "" : reasonsOf(change).map(code).join(", ");
    return [engineTypes.get(change.type) ?? "", code(nameOf(change)), words[change.operation], why];
  });
  const text = markdownTable([["", "name", "`up` …", "why"], ...rows]);
  return [{ heading: "Containers and volumes", lines: rows.length, text }];
}

/** What the configuration job's environment holds of files. */
const configurationVariables: Readonly<Record<string, string>> = {
  POSTGRESQL_CONF: "postgresql.conf",
  PG_HBA_CONF: "pg_hba.conf",
  PG_IDENT_CONF: "pg_ident.conf",
};

interface FileChange {
  readonly file: string;
  readonly lines: readonly LineChange[];
}

function configurationFiles({ type, operation, before, after }: ResourceChange): readonly FileChange[] {
  if (type !== commandType || operation !== "update") return [];
  const [old, now] = [before, after].map(({ environment }) => (environment ?? {}) as ResourceChange["before"]);
  return Object.entries(configurationVariables).flatMap(([variable, file]) => {
    const [was, is] = [old?.[variable], now?.[variable]].map(shown);
    if (was === undefined || is === undefined) return [];
    const lines = compareLines(was.split("\n"), is.split("\n"));
    return lines.length === 0 ? [] : [{ file, lines }];
  });
}

/** What changes of the guard and its kin, of which no single line is a statement. */
function guardLines(change: ResourceChange): readonly LineChange[] {
  if (change.type !== commandType || change.operation !== "update") return [];
  const statements = new Set(accessChange(change).map(({ line }) => `${line};`));
  return compareLines(sqlLines(change.before), sqlLines(change.after)).filter(
    // Rows of what is planned: what follows from them stands in the statements.
    ({ line }) => !statements.has(line) && !/^(INSERT INTO pg_temp\.| {2}\('.*'\)[,;]$)/.test(line),
  );
}

/** Names of what needs no more to be said, by what is done with them. */
function listSection(heading: string, changes: readonly ResourceChange[]): readonly Section[] {
  if (changes.length === 0) return [];
  const lines = (Object.keys(words) as Operation[]).flatMap((operation) => {
    const names = changes.filter((change) => change.operation === operation).map((change) => code(nameOf(change)));
    const some = names.length > named + 1 ? names.slice(0, named) : names;
    const rest = names.length - some.length;
    return names.length === 0 ? [] : [`- ${words[operation]} ${some.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`];
  });
  return [{ heading, lines: changes.length, text: lines.join("\n") }];
}
