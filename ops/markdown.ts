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
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line)].join("\n");
}
