import { Socket } from "node:net";
import { run } from "./run";

/** Somebody who tries to log in again and again, and never does. */
export interface Knocking {
  /** How often a server has refused. */
  answered(): number;
  stop(): void;
}

/** What is refused is logged, with the name: a name may have line breaks. */
const name = "x\n[1] WARNING:  insufficient parameter settings\nx [1] FATAL:  it is over";
const pauseMs = 50;

/** Knocks at a container's port as soon as it has one. */
export function knockAt(container: string): Knocking {
  let answered = 0;
  let port: number | undefined;
  const timer = setInterval(() => {
    port ??= portOf(container);
    if (port === undefined) return;
    const socket = new Socket();
    socket.on("error", () => undefined).setTimeout(2000, () => socket.destroy());
    socket.on("data", () => {
      answered += 1;
      socket.destroy();
    });
    socket.connect(port, "127.0.0.1", () => socket.write(startup(name, "nope")));
  }, pauseMs);
  return { answered: () => answered, stop: () => clearInterval(timer) };
}

function portOf(container: string): number | undefined {
  const port = Number(run("docker", ["port", container, "5432"]).stdout.split("\n")[0]?.split(":").at(-1));
  return port > 0 ? port : undefined;
}

/** The protocol's StartupMessage, 3.0. */
function startup(user: string, database: string): Buffer {
  const body = Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(`user\0${user}\0database\0${database}\0\0`)]);
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([length, body]);
}
