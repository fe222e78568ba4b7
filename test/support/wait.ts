/** Waits until `condition` holds; throws after `seconds`. Errors count as no. */
export async function waitFor(condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown = "it did not hold";
  while (Date.now() < deadline) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited ${seconds} seconds: ${String(last)}`);
}
