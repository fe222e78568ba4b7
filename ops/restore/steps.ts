import { printable } from "../../services/printable";
import { OperatorError } from "../operator-error";

/** Prints what is done, a line each, with its number, its result and its time. */
export interface Steps {
  /** @param work resolves with its result in a few words */
  run<T>(name: string, work: () => Promise<readonly [result: string, value: T]>): Promise<T>;
  /** A line below the step that runs. */
  say(line: string): void;
}

/** @param total how many there will be */
export function steps(total: number, write: (line: string) => void): Steps {
  let number = 0;
  return {
    run: async (name, work) => {
      number++;
      const began = performance.now();
      const took = () => `${secondsSince(began)} s`;
      write(`${number}/${total} ${printable(name)}`);
      try {
        const [result, value] = await work();
        write(`    ${printable(result)} (${took()})`);
        return value;
      } catch (error) {
        write(`    FAILED after ${took()}`);
        throw error;
      }
    },
    say: (line) => {
      write(`    ${printable(line)}`);
    },
  };
}

/** `1.5`; since a time of performance.now(). */
export function secondsSince(begun: number): string {
  return ((performance.now() - begun) / 1000).toFixed(1);
}

/** `20261127t101500`, in UTC: part of a name that needs no quotes. */
export function stamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").toLowerCase();
}

/** @throws OperatorError naming everything that is not what it was */
export function refuseDifferences(what: string, wrong: readonly string[]): void {
  if (wrong.length === 0) return;
  throw new OperatorError(
    [`${what} is not what it should be:`, ...wrong.map((line) => `  ${printable(line)}`)].join("\n"),
  );
}
