/** Text in a cell of a Markdown table, whatever it holds. */
export function cell(text: string): string {
  return text.replace(/[\\`*_[\]<>|#!~]/g, "\\$&").replace(/[\r\n]+/g, " ");
}

/** Names and SQL, as they stand. */
export function code(text: string): string {
  const ticks = text.includes("`") ? "``" : "`";
  return `${ticks}${text.replaceAll("|", "\\|").replace(/[\r\n]+/g, " ")}${ticks}`;
}

/** A table; the first row is its heading. Cells are Markdown already. */
export function markdownTable([heading = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line)].join("\n");
}
