import { OperatorError } from "./operator-error";

/** Aborted by Ctrl-C; what is half done is undone by whoever looks at it. */
export function interrupted(): AbortSignal {
  const stop = new AbortController();
  process.on("SIGINT", () => {
    if (!stop.signal.aborted) process.stdout.write("is stopped: what is half done is undone\n");
    stop.abort(new OperatorError("stopped"));
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
