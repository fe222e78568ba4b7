import { connect } from "node:net";
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
