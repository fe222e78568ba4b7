import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";
import { OperatorError } from "../operator-error";

/** @throws OperatorError naming the option by which another is chosen */
export async function checkPortFree(port: number, option: string): Promise<void> {
  const taken = await new Promise<boolean>((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const answer = (somebody: boolean) => {
      socket.destroy();
      resolve(somebody);
    };
    socket.once("connect", () => answer(true)).once("error", () => answer(false));
    socket.setTimeout(1000, () => answer(true));
  });
  if (taken) {
    throw new OperatorError(
      `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another with ${option} ${port + (port < 55_000 ? 10_000 : -10_000)}`,
    );
  }
}

/**
 * A port nobody listens on at this moment, and the next one neither. Below the ports the kernel gives to connections:
 * those are taken again at any moment.
 */
export async function freePort(): Promise<number> {
  for (let tries = 1; tries <= 100; tries++) {
    const port = randomInt(20_000, 32_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
  throw new Error("no free port");
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
