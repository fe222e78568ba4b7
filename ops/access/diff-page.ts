import { everybody } from "../../components/access/plan-items";
import { groupBy } from "../group-by";
import type { AccessChange } from "./changes";
import { cell, code, fitting, markdownTable } from "../markdown";
import { assess, type Assessment, type Risk } from "./risk";

/** What GitHub takes as one comment, in characters. Source: its API answers "body is too long (maximum is 65536 characters)". */
export const commentLimit = 65_536;

export interface AssessedChange extends AccessChange, Assessment {}

export function assessAll(changes: readonly AccessChange[], schemas: ReadonlySet<string>): readonly AssessedChange[] {
  return changes.map((change) => ({ ...change, ...assess(change, schemas) }));
}

const marks: Readonly<Record<Risk, string>> = { high: "🔴 high", medium: "🟠 medium", low: "⚪ low" };

/**
 * The changes as Markdown for a comment of a pull request: a tally, what is taken, what is given.
 * @param limit in characters: beyond it what is given is left out, then the end of what is taken
 * @param whole where all of it is, for a reader of a cut one
 */
export function formatChanges(
  changes: readonly AssessedChange[],
  { limit = commentLimit, whole }: { readonly limit?: number; readonly whole: string },
): string {
  const title = "## Access changes\n\n";
  if (changes.length === 0) return `${title}None: every role may do what it could do before.\n`;
  const head = `${title}${tally(changes)}\n`;
  const [taken, given] = (["takes", "gives"] as const).map((effect) =>
    linesOf(changes.filter((change) => change.effect === effect)),
  );
  const sections = [section("Taken", taken ?? []), section("Given", given ?? [])];
  const all = head + sections.join("");
  if (all.length <= limit) return all;

  const cut = (left: readonly string[]) =>
    `${head}${section("Taken", left)}\n**Too long for a comment**: ${left.length === (taken ?? []).length ? "" : `${(taken ?? []).length - left.length} lines of what is taken and `}` +
    `${(given ?? []).length} lines of what is given are left out. All of it: ${whole}.\n`;
  const kept = (taken ?? []).slice(0, fitting(taken ?? [], limit - head.length));
  while (kept.length > 0 && cut(kept).length > limit) kept.pop();
  return cut(kept);
}

/** `Taken from 2 roles: 4 rights. Given to 3 roles: 12 rights, 1 login. Risk: 1 high, 2 medium.` */
function tally(changes: readonly AssessedChange[]): string {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const half = (effect: AccessChange["effect"], words: string) => {
    const rows = changes.filter((change) => change.effect === effect);
    if (rows.length === 0) return [];
    const roles = new Set(rows.map(({ role }) => role));
    const kinds = new Map<string, number>();
    for (const row of rows) kinds.set(kindOf(row), (kinds.get(kindOf(row)) ?? 0) + amount(row));
    const parts = [...kinds].map(([kind, number]) => count(number, kind));
    return [`**${words} ${count(roles.size, "role")}**: ${parts.join(", ")}.`];
  };
  const byRisk = risks.flatMap((risk) => {
    const number = changes.filter((change) => change.risk === risk).length;
    return number === 0 ? [] : [`${number} ${marks[risk]}`];
  });
  return [...half("takes", "Taken from"), ...half("gives", "Given to"), `Risk: ${byRisk.join(", ")}.`].join(" ");
}

const valueTypes: Readonly<Record<string, string>> = {
  attributes: "role attribute",
  connections: "connection limit",
  setting: "setting",
};
const isWholeRole = ({ type, scope }: AccessChange) => type === "attributes" && scope === "role";
const kindOf = (change: AccessChange) =>
  isWholeRole(change) ? (change.effect === "gives" ? "new role" : "role gone") : (valueTypes[change.type] ?? "right");

function amount(change: AccessChange): number {
  const { type, before, after, effect } = change;
  if (type === "connections" || type === "setting" || isWholeRole(change)) return 1;
  const [more, less] = effect === "gives" ? [after, before] : [before, after];
  return more.filter((word) => !less.includes(word)).length;
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const heading = markdownTable([["service", "role", "on", "before → after", "risk", "why"]]);
  return `\n### ${title}\n\n${heading}\n${lines.join("\n")}\n`;
}

/** So many objects are named; beyond, the rest is counted. */
const named = 3;

const risks = ["high", "medium", "low"] as const;

/** The gravest first; one line for what is alike but for the object, and then for the role. */
function linesOf(changes: readonly AssessedChange[]): string[] {
  const ordered = risks.flatMap((risk) => changes.filter((change) => change.risk === risk));
  const objects = groupBy(ordered, ({ role, type, name, before, after, risk, reasons }) =>
    JSON.stringify([role, type, type === "setting" ? name : "", before, after, risk, reasons]),
  );
  const lines = objects.flatMap((alike) => {
    const [first] = alike;
    return first === undefined ? [] : [{ role: roleCell(first), cells: cellsOf(first, alike) }];
  });
  return groupBy(lines, ({ cells }) => JSON.stringify(cells)).map((alike) => {
    const [service = "", ...others] = alike[0]?.cells ?? [];
    return `| ${[service, alike.map(({ role }) => role).join(", "), ...others].join(" | ")} |`;
  });
}

const roleCell = ({ role }: AccessChange) => (role === everybody ? "**PUBLIC**" : code(role));

/** Service, what on, before and after, risk, why. */
function cellsOf(change: AssessedChange, alike: readonly AssessedChange[]): readonly string[] {
  const { of, type, before, after, risk, reasons, effect } = change;
  const service = of === undefined ? "every role" : of.service === null ? "(platform)" : cell(of.service);
  return [service, on(type, alike), words(before, after, effect), marks[risk], reasons.map(cell).join("; ")];
}

function on(type: string, alike: readonly AccessChange[]): string {
  const names = alike.map(({ name }) => name).filter((name) => name !== "");
  const plural = names.length > 1 && !type.startsWith("future ");
  const some = names.length > named + 1 ? names.slice(0, named) : names;
  const rest = names.length - some.length;
  const list = some.map(code).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  return [`${cell(type)}${plural ? "s" : ""}`, list].filter((part) => part !== "").join(" ");
}

/** What goes is struck out, what comes is bold. */
function words(before: readonly string[], after: readonly string[], effect: AccessChange["effect"]): string {
  const list = (some: readonly string[], others: readonly string[], mark: string) =>
    some.map((word) => (others.includes(word) ? cell(word) : `${mark}${cell(word)}${mark}`)).join(", ") || "–";
  return effect === "takes"
    ? `${list(before, after, "~~")} → ${list(after, before, "")}`
    : `${list(before, after, "")} → ${list(after, before, "**")}`;
}
