import type { Finding } from "../audit/finding";
import { cell, code, fitting, markdownTable, tableRow } from "../markdown";

/**
 * What an audit has found, as Markdown for an issue.
 * @param limit in characters: beyond it the rest is counted
 */
export function auditPage(stack: string, findings: readonly Finding[], limit: number): string {
  const rows = findings.map(({ kind, role, what, expected, found }) =>
    tableRow([kind, role || "–", what, expected, found].map((text) => cell(text.slice(0, 300)))),
  );
  const head =
    `## Audit of stack ${code(stack)}\n\n${findings.length} ${findings.length === 1 ? "place is" : "places are"} not as planned; ` +
    `${code(`npm run ops -- audit --stack ${stack} --fix-sql`)} prints what repairs them.\n\n` +
    markdownTable([["kind", "role", "what", "expected", "found"]]);
  const page = (shown: number) => {
    const left = rows.length - shown;
    return `${[head, ...rows.slice(0, shown)].join("\n")}\n${left > 0 ? `\nand ${left} more.\n` : ""}`;
  };
  let shown = fitting(rows, limit - head.length);
  while (shown > 0 && page(shown).length > limit) shown--;
  return page(shown);
}
