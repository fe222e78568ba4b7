import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Agent } from "./agent";
import { inALine } from "./failure";
import { metricsOf } from "./metrics";
import { backupKinds, type BackupKind } from "./schedule";
import type { Places } from "./settings";

/** Where Prometheus asks, on the private network. */
export const metricsPort = 9_187;

/** What keeps the agent from its work at this moment; empty where it is healthy. A backup that failed is not its health: see status. */
function illness({ receiving }: Agent): readonly string[] {
  return receiving.since === undefined ? [`no WAL is received: ${receiving.why}`] : [];
}

/** Serves /metrics and /healthz to the private network, and the agent's own commands on a socket of the container. */
export function serve(agent: Agent, places: Places): readonly Server[] {
  const open = createServer((request, response) => {
    void answer(agent, request, response);
  }).listen(metricsPort);
  rmSync(places.socket, { force: true });
  const own = createServer((request, response) => {
    void command(agent, request, response);
  }).listen(places.socket);
  return [open, own];
}

async function answer(agent: Agent, { method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (method === "GET" && url === "/metrics") {
    const text = await metricsOf(agent).catch((error: unknown) => {
      response.statusCode = 500;
      return inALine(error);
    });
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(text);
  } else if (method === "GET" && url === "/healthz") {
    const why = illness(agent);
    response.statusCode = why.length === 0 ? 200 : 503;
    response.end(why.length === 0 ? "ok\n" : `${why.join("\n")}\n`);
  } else {
    response.statusCode = 404;
    response.end();
  }
}

/** `POST /run/logical`: makes a backup now and tells its progress in lines; the last says `done` or `failed`. */
async function command(agent: Agent, { method, url = "" }: IncomingMessage, response: ServerResponse): Promise<void> {
  const kind = backupKinds.find((one) => url === `/run/${one}`);
  if (method !== "POST" || kind === undefined) {
    response.statusCode = 404;
    response.end();
    return;
  }
  await runNow(agent, kind, response);
}

/** How often somebody who waits sees that it goes on. */
const progressMs = 5_000;

async function runNow(agent: Agent, kind: BackupKind, response: ServerResponse): Promise<void> {
  const begun = Date.now();
  const progress = setInterval(() => {
    const mib = (agent.store.unfinishedBytes() / 1024 ** 2).toFixed(1);
    response.write(`${Math.round((Date.now() - begun) / 1000)} s, ${mib} MiB written\n`);
  }, progressMs);
  try {
    await agent.run(kind, true, (line) => response.write(`${line}\n`));
    response.end("done\n");
  } catch {
    response.end("failed\n"); // and the line before says why
  } finally {
    clearInterval(progress);
  }
}
