/** Text in a cell of a Markdown table, whatever it holds: no markup, and nobody is called by it. */
export function cell(text: string): string {
  return text
    .replace(/[\\`*_[\]<>|#!~]/g, "\\$&")
    .replaceAll("@", "&#64;")
    .replace(/[\r\n]+/g, " ");
}

/** Names and SQL, as they stand. */
export function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = "`".repeat(longest + 1);
  const space = longest > 0 ? " " : "";
  return `${ticks}${space}${text.replaceAll("|", "\\|").replace(/[\r\n]+/g, " ")}${space}${ticks}`;
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
