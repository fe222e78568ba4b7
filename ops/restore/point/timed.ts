/** Does a step, and says what it was and how long it took. */
export function timed<T>(say: (line: string) => void, what: string, work: () => T): T {
  const begun = performance.now();
  const result = work();
  say(`${what}: ${secondsSince(begun)} s`);
  return result;
}

/** `1.5`; since a time of performance.now(). */
export function secondsSince(begun: number): string {
  return ((performance.now() - begun) / 1000).toFixed(1);
}
