import { closest, distance } from "fastest-levenshtein";

/** `, did you mean "ledger"?` where one of the known words is near enough to be meant, else nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  if (known.length === 0 || word.length > 100) return "";
  const nearest = closest(word, [...known]);
  return distance(word, nearest) <= Math.max(1, Math.floor(word.length / 3)) ? `, did you mean "${nearest}"?` : "";
}
