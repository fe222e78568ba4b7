import { createInterface } from "node:readline/promises";

/** One line of the person's, or of a pipe; "" at its end. */
export async function typed(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => prompt.once("close", () => resolve("")));
  const answer = await Promise.race([prompt.question(question).catch(() => ""), closed]);
  prompt.close();
  return answer.trim();
}
