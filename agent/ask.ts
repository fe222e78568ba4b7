import { request } from "node:http";

/**
 * Asks the agent that serves in this container to do something, and hands over what it tells of it.
 * @param path such as `/run/logical`
 * @returns whether it was done
 * @throws Error where no agent serves
 */
export async function askAgent(socketPath: string, path: string, say: (line: string) => void): Promise<boolean> {
  const last = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath, path, method: "POST" }, (response) => {
      let line = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        const lines = (line + text).split("\n");
        line = lines.pop() ?? "";
        for (const one of lines) {
          if (one === "done" || one === "failed") resolve(one);
          else say(one);
        }
      });
      response.on("close", () => resolve("failed"));
    });
    asked.on("error", reject).end();
  });
  return last === "done";
}
