import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Places } from "../settings";
import type { Drills } from "./drills";

/** Serves the agent's own commands on a socket of the container, which has no network. */
export function serveDrills(drills: Drills, { socket }: Places): Server {
  rmSync(socket, { force: true });
  return createServer((request, response) => {
    void command(drills, request, response);
  }).listen(socket);
}

/** `POST /drill`: makes one and tells how it goes in lines, the last of which says `done` or `failed`. `GET /healthz`: it answers. */
async function command(drills: Drills, { method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (method === "GET" && url === "/healthz") response.end("ok\n");
  else if (method === "POST" && url === "/drill") await drillNow(drills, response);
  else {
    response.statusCode = 404;
    response.end();
  }
}

/** How often somebody who waits sees that it goes on. */
const progressMs = 30_000;

async function drillNow(drills: Drills, response: ServerResponse): Promise<void> {
  const begun = Date.now();
  const progress = setInterval(() => {
    response.write(`${Math.round((Date.now() - begun) / 1000)} s\n`);
  }, progressMs);
  try {
    const isWell = await drills.run((line) => response.write(`${line}\n`));
    response.end(isWell ? "done\n" : "failed\n");
  } catch {
    response.end("failed\n"); // and the line before says why
  } finally {
    clearInterval(progress);
  }
}
