import { printable } from "../services/printable";

/** Of no width: GitHub, which makes links of plain addresses and names, also behind what has escaped them, finds none around it. */
const gap = "&#8203;";

const onOneLine = (text: string) => printable(text.replace(/[\r\n]+/g, " "));

/** Text in a cell of a Markdown table, whatever it holds: no markup, no link, and nobody is called by it. */
export function cell(text: string): string {
  return onOneLine(text)
    .replace(/[\\`*_[\]<>|#!~&]/g, "\\$&")
    .replaceAll("$", "&#36;")
    .replaceAll("@", `&#64;${gap}`)
    .replaceAll("://", `:${gap}//`)
    .replace(/www(?=\.)/gi, `$&${gap}`);
}

/** Names and SQL, as they stand. */
export function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = "`".repeat(longest + 1);
  const space = longest > 0 ? " " : "";
  // A backslash in front of one would let it end the cell.
  const inACell = onOneLine(text).replace(/(\\*)\|/g, "$1$1\\|");
  return `${ticks}${space}${inACell}${space}${ticks}`;
}

/** A table; the first row is its heading. Cells are Markdown already. */
export function markdownTable([heading = [], ...rows]: readonly (readonly string[])[]): string {
  return [heading, heading.map(() => "---"), ...rows].map(tableRow).join("\n");
}

/** A row of a table, without its end. */
export function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/**
 * How many lines, from the first, are not longer than so many characters with their ends. A page is cut there first: an owner can make
 * tens of thousands, and a page rendered anew without each of them takes minutes.
 */
export function fitting(lines: readonly string[], characters: number): number {
  let left = characters;
  const first = lines.findIndex((line) => (left -= line.length + 1) < 0);
  return first === -1 ? lines.length : first;
}
