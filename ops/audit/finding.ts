import { printable } from "../../services/printable";

/** The kind of what nobody could look at. */
export const notAudited = "not audited";

/** One place where a server is not what the plan says. */
export interface Finding {
  /** `privilege`, `role attribute`, `owner`, …: what was looked at. */
  readonly kind: string;
  /** Whose it is: a role, PUBLIC, or "" for what is nobody's. */
  readonly role: string;
  /** Where the object is. @default in none, or it is not asked for */
  readonly schema?: string;
  /** Role that owns the object, or what it says: not {@link role} where that one may do something with it. @default the role */
  readonly owner?: string;
  /** The very object: `SELECT on table gt.gt_raw_data`. */
  readonly what: string;
  readonly expected: string;
  readonly found: string;
  /** SQL that repairs it, without semicolons; empty where a person must look, with the reason in {@link byHand}. */
  readonly fix: readonly string[];
  /** The fix removes what somebody may miss: it is printed as a comment unless asked for. @default false */
  readonly destroys?: boolean;
  /** What to do where no SQL in a transaction does it. */
  readonly byHand?: string;
}

/** An owner chooses the names in it: they must not move a terminal's cursor. */
export function describeFinding({ role, what, expected, found }: Finding): string {
  return printable(`${role === "" ? "" : `${role}: `}${what}: expected ${expected}, found ${found}`);
}
