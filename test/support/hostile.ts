import fc from "fast-check";
import { expect } from "vitest";
import { OperatorError } from "../../ops/operator-error";
import { printable } from "../../services/printable";

/** Texts that mean something to a shell, SQL, libpq, a configuration file, a URL, a path, YAML, Markdown or a terminal. */
const hostilePieces = [
  ...Array.from(
    "'\"\\`$;#|&<>*?%/@:,=-~{}[]()!\n\r\t\0\u0007\u001b\u007f\u0085\u009b\u2028\u2029\u202e\ud800\ufeff é日😀",
  ),
  ...`'' "" $(id) \${HOME} -- */ <script> ../ %41 %00 {{ \\' \x1b[2J a Z 0`.split(" "),
];

/** Such texts, some of 10,000 characters. */
export const hostileText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.array(fc.constantFrom(...hostilePieces), { maxLength: 20 }).map((pieces) => pieces.join("")),
  fc.constantFrom("", ..."__proto__ constructor toString pg NaN -0 1e3 -x null true 10 host".split(" ")),
  fc.constantFrom(...hostilePieces).map((piece) => piece.repeat(10_000)),
);

/** The same as they can be shown, up to 400 characters. */
export const shownText = hostileText.map((text) => printable(printable(text).slice(0, 400)));

/** The same without what PostgreSQL has no character for. */
export const storableText = hostileText.map((text) => Buffer.from(text.replaceAll("\0", "")).toString());

/** Any value a program without a compiler may hold. */
export const hostileValue = fc.oneof(
  hostileText,
  fc.constantFrom<unknown>(NaN, -0, Infinity, 1.5, 1e3, 2 ** 53, 1e300, 5n, null, undefined, Symbol("s"), () => 1),
  fc.array(hostileText, { maxLength: 3 }),
  fc.dictionary(hostileText, fc.anything(), { maxKeys: 3 }),
  fc.sparseArray(hostileText, { maxNumElements: 3, maxLength: 5 }),
  fc.anything({ withBigInt: true, withSparseArray: true, withNullPrototype: true, withDate: true, withMap: true }),
);

/** Control characters, halves of pairs, line and paragraph separators, marks that turn the direction of writing. */
export const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** One line that begins with its place and ends within reason. */
export function expectOneLine(text: string, beginning: RegExp): void {
  expect(text).not.toMatch(unprintable);
  expect(text).toMatch(beginning);
  expect(text.length).toBeLessThan(1000);
}

/** What an OperatorError says; anything else that is thrown fails the test. */
export function refusalOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof OperatorError) return error.message;
    throw error;
  }
}
