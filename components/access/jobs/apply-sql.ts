import { readFileSync } from "node:fs";
import { endSessions } from "../end-sessions";
import { primaryOf, runOnServers } from "./servers";

/**
 * Runs the SQL of standard input in one go on the primary among the servers (see servers.ts), then ends the sessions of the
 * roles in END_SESSIONS_OF on both.
 */
runOnServers("platform SQL", async (servers) => {
  const roles = (process.env["END_SESSIONS_OF"] ?? "").split(" ").filter(Boolean);
  await primaryOf(servers).client.query(readFileSync(0, "utf8"));
  if (roles.length === 0) return;
  for (const { client, port, standby, down, why } of servers) {
    if (down) continue; // and has no sessions
    if (standby === undefined)
      throw new Error(`sessions of frozen services may go on where nobody can be asked: ${why}`);
    const ended = await endSessions(client, roles);
    if (ended > 0) process.stdout.write(`port ${port}: ended ${ended} sessions of frozen services\n`);
  }
});
