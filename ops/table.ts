/** Beyond it a cell stands out of its column: it would make every row as long as itself. */
const widest = 120;

/** Rows as aligned columns, the first row a heading; for a terminal. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = greatest(rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.min(widest, greatest(rows.map((row) => row[column]?.length ?? 0))),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Math.max() takes no more than some hundred thousand. */
function greatest(numbers: readonly number[]): number {
  return numbers.reduce((most, one) => Math.max(most, one), 0);
}
