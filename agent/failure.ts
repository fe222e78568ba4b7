/** A run that cannot be proven; the message says what failed, in the tool's own words. */
export class BackupFailure extends Error {
  override readonly name = "BackupFailure";
}

/** One line of an error, whatever it is. */
export function inALine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replaceAll(/\s*\n\s*/g, "; ");
}
