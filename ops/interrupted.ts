import { OperatorError } from "./operator-error";

/** npm passes on what the terminal has sent to everybody: Ctrl-C pressed once comes twice. */
const onePressMs = 500;

/** Aborted by Ctrl-C; what is half done is undone by whoever looks at it. Pressed again, it ends the process at once. */
export function interrupted(): AbortSignal {
  const stop = new AbortController();
  let isOnePress = true;
  process.on("SIGINT", () => {
    if (!stop.signal.aborted) {
      process.stdout.write("is stopped: what is half done is undone\n");
      stop.abort(new OperatorError("stopped"));
      // Behind what has come while the docker CLI was waited for, too.
      setTimeout(() => setImmediate(() => (isOnePress = false)), onePressMs).unref();
    } else if (!isOnePress) {
      process.stdout.write(
        "is ended at once: what is half done may be left; the same command again goes on, npm run ops -- audit names what is left\n",
      );
      process.exit(130);
    }
  });
  return stop.signal;
}

/** Work that Ctrl-C does not stop, as short as it is: half of it would be worse than none, or all. */
export async function uninterrupted<T>(say: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const others = process.listeners("SIGINT");
  const ignore = () => say("it is done in a moment");
  process.removeAllListeners("SIGINT").on("SIGINT", ignore);
  try {
    return await work();
  } finally {
    process.off("SIGINT", ignore);
    for (const other of others) process.on("SIGINT", other);
  }
}
