/** What moves a terminal's cursor, ends a line somewhere, turns the direction of writing, or is no text at all (half a pair). */
const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Whether a text is what it looks like, on one line. */
export function isPrintable(text: string): boolean {
  return text.search(unprintable) < 0;
}

/** A text others chose, for a terminal: on one line, what cannot be shown as `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) => {
    if (character === "\t") return " ";
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}

/** The same of a text whose line breaks are wanted, such as an error with a server's words in it. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** A value as a person can read it in one line, however long or odd it is. */
export function show(value: unknown): string {
  const text = printable(asJson(value));
  // Never half of a pair at the end.
  return text.length > 80 ? `${text.slice(0, 77).replace(/[\uD800-\uDBFF]$/, "")}…` : text;
}

/** A key in a path: `.reads`, or `["a\nb"]` where it is no plain word. */
export function showKey(key: string): string {
  return /^[A-Za-z_]\w{0,79}$/.test(key) ? `.${key}` : `[${show(key)}]`;
}

/** As JSON, and where JSON has no word for it (undefined, functions, NaN, cycles) the nearest. */
function asJson(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "number") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text ?? typeof value;
  } catch {
    return Array.isArray(value) ? "a list" : "an object";
  }
}
