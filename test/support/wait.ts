/** Waits until `condition` holds; throws after `seconds`. Errors count as no. */
export async function waitFor(condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown = "it did not hold";
  // What is asked may be a process in a container, which takes a core for a while.
  for (let pauseMs = 50; Date.now() < deadline; pauseMs = Math.min(pauseMs * 1.5, 500)) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  throw new Error(`waited ${seconds} seconds: ${String(last)}`);
}
