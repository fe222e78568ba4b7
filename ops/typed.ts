import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** One line of the person's, or of a pipe; "" at its end. */
export async function typed(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => prompt.once("close", () => resolve("")));
  const answer = await Promise.race([prompt.question(question).catch(() => ""), closed]);
  prompt.close();
  return answer.trim();
}

/** The same, and the terminal does not show it. */
export async function typedSecret(question: string): Promise<string> {
  process.stdout.write(question);
  const output = new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const prompt = createInterface({ input: process.stdin, output, terminal: process.stdin.isTTY });
  const closed = new Promise<string>((resolve) => prompt.once("close", () => resolve("")));
  const answer = await Promise.race([prompt.question("").catch(() => ""), closed]);
  prompt.close();
  process.stdout.write("\n");
  return answer;
}
