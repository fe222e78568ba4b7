import { printable } from "../../services/printable";

/** What PostgreSQL answers: done, or refused with this SQLSTATE. */
export type Outcome = "allowed" | "denied" | "refused by the guard" | "read-only";

/** One thing tried by a role, always rolled back. */
export interface Attempt {
  readonly role: string;
  /** In words: `SELECT on gt.gt_probe_table`. */
  readonly action: string;
  readonly sql: string;
  /** What the plan says must come of it; `refused` is any outcome but allowed. */
  readonly expected: Outcome | "refused";
  /** @default the plan's database */
  readonly database?: string;
}

/** An attempt that came out otherwise than the plan says, or a difference the catalog shows. */
export interface Violation {
  readonly role: string;
  readonly action: string;
  readonly expected: string;
  readonly got: string;
}

export function describeViolation({ role, action, expected, got }: Violation): string {
  // An owner chooses the names in it: they must not move a terminal's cursor.
  return printable(`${role}: ${action}: expected ${expected}, got ${got}`);
}
