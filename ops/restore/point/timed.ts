import { secondsSince } from "../steps";

/** Does a step, and says what it was and how long it took. */
export function timed<T>(say: (line: string) => void, what: string, work: () => T): T {
  const begun = performance.now();
  const result = work();
  say(`${what}: ${secondsSince(begun)} s`);
  return result;
}
