/**
 * Something the person at the keyboard can mend: printed as one message without a stack trace, exit status 1.
 * The message says what was wrong, where, and what to do about it.
 */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
}
