import { get } from "node:http";
import type { Command } from "commander";
import { askAgent } from "../ask";
import { inALine } from "../failure";
import { places } from "../settings";
import { Drills } from "./drills";
import { drillFolder } from "./results";
import { serveDrills } from "./serve";

/** Longer than a server that is told to end at once may take. */
const endMs = 20_000;
const answerMs = 10_000;

/** `drill …`: what runs in the drill's container, which has no network and no password. */
export function addDrillCommands(program: Command, say: (line: string) => void): void {
  const drill = program
    .command("drill")
    .description("Restores the newest backups into servers of its own, and compares rows, values and access.");

  drill
    .command("serve")
    .description("make a drill each week, and where it is asked for, until it is told to stop")
    .action(async () => {
      process.umask(0o077);
      const stop = new AbortController();
      const log = (line: string) => say(`${new Date().toISOString()} ${line}`);
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        process.on(signal, () => {
          stop.abort();
          // What is left is removed at the next start.
          setTimeout(() => process.exit(), endMs);
        });
      }
      const drills = new Drills({ places, folder: drillFolder, signal: stop.signal, say: log });
      serveDrills(drills, places);
      // What cannot go on must not look healthy: docker starts it again.
      await drills.work().catch((error: unknown) => {
        log(`the agent ends: ${inALine(error)}`);
        process.exit(1);
      });
      process.exit();
    });

  drill
    .command("now")
    .description("make a drill now, and tell how it goes; exit status 1 where a backup is not what it was")
    .action(async () => {
      if (!(await askAgent(places.socket, "/drill", say))) process.exitCode = 1;
    });

  drill
    .command("health")
    .description("exit status 1 where the agent does not answer")
    .action(async () => {
      await new Promise((resolve, reject) => {
        const asked = get({ socketPath: places.socket, path: "/healthz", timeout: answerMs }, resolve);
        asked.on("error", reject).on("timeout", () => asked.destroy(new Error("the agent does not answer")));
      });
      say("ok");
      process.exit();
    });
}
