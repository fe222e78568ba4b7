import { resolve, sep } from "node:path";
import { isPrintable, show } from "../../services/printable";
import { OperatorError } from "../operator-error";
import { quoteInConninfo } from "./replica";

/** A replica keeps 1,023 bytes of how it connects to its primary; the name of its password file is most of that. */
const maxBytes = 900;

/**
 * The folder of a sandbox, as a person names it, from the root: the servers run in folders of their own, and a name that
 * begins with a dash would be an option.
 * @throws OperatorError for a name the servers, or a line of a file, cannot hold
 */
export function parseFolder(text: string): string {
  if (text === "" || !isPrintable(text)) {
    throw new OperatorError(`the sandbox's folder: expected a name without control characters, got ${show(text)}`);
  }
  const folder = resolve(text);
  const bytes = Buffer.byteLength(quoteInConninfo(folder)) - 2;
  if (bytes > maxBytes) {
    throw new OperatorError(
      `the sandbox's folder: expected at most ${maxBytes} bytes from the root, got ${bytes} in ${show(folder)}`,
    );
  }
  return folder;
}

/** A file as a word of a shell's line: `.` looks for a name without a slash on PATH. */
export function shellWord(file: string): string {
  const path = file.includes(sep) && !file.startsWith("-") ? file : `.${sep}${file}`;
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
