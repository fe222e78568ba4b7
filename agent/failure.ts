/** A run that cannot be proven; the message says what failed, in the tool's own words. */
export class BackupFailure extends Error {
  override readonly name = "BackupFailure";
}

/** One line of an error, whatever it is. */
export function inALine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replaceAll(/\s*\n\s*/g, "; ");
}

/** More than a person reads of one sentence; names in it are as long as their owners like. */
const maxCharacters = 1_000;

/** A sentence, or the begin of one that is too long to be listed. */
export function atMost(sentence: string): string {
  return sentence.length > maxCharacters ? `${sentence.slice(0, maxCharacters)}…` : sentence;
}

/** As many sentences as are told of a service. */
const toldSentences = 100;

/** The first sentences of a service, and how many more there are: an owner may make as many as it has tables. */
export function firstOf(sentences: readonly string[], service: string): readonly string[] {
  const more = sentences.length - toldSentences;
  const first = sentences.slice(0, toldSentences).map(atMost);
  return more > 0 ? [...first, `and ${more} more of ${service}`] : first;
}
