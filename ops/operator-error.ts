import { printableLines } from "../services/printable";

/**
 * Something the person at the keyboard can mend: printed as one message without a stack trace, exit status 1.
 * The message says what was wrong, where, and what to do about it.
 */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
}

/** What to print of an error: its message alone where the person can mend it. It may have words of an owner's in it, or of a server's. */
export function explain(error: unknown): string {
  // Errors of the operating system say what and where themselves: EEXIST, EACCES, ENOSPC with the path.
  const isPlain = error instanceof OperatorError || (error instanceof Error && "syscall" in error);
  return printableLines(isPlain ? error.message : String((error as Error).stack));
}
