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
