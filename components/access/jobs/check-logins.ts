import { readFileSync } from "node:fs";
import { Client } from "pg";
import { scramVerifier } from "../scram";
import { renderPasswordNotes } from "../sql";
import { whyRefused } from "../login-refusal";
import { clientConfig, primaryOf, runOnServers } from "./servers";

/** What must stand in no environment and no process list: every role that logs in, and its password. */
export type LoginsToCheck = Readonly<Record<string, string>>;

/**
 * Logs in with each role and password of standard input (JSON, {@link LoginsToCheck}) on the primary among the servers (see
 * servers.ts), then notes since when each role has its password.
 */
runOnServers("a login failed", async (servers) => {
  const primary = primaryOf(servers);
  const logins = Object.entries(JSON.parse(readFileSync(0, "utf8")) as LoginsToCheck);
  const failures: string[] = [];
  for (const [role, password] of logins) {
    const failure = await logIn(role, password, primary.port);
    if (failure !== undefined) failures.push(`${role}: ${failure}`);
  }
  if (failures.length > 0) {
    const cure =
      "a role may have changed its own password or settings (npm run ops -- audit names it), or an earlier up failed at it: " +
      "up sets its settings back, another rotation in services/registry.ts gives its service new passwords";
    throw new Error([...failures, cure].join("\n"));
  }
  const verifiers = logins.map(([role, password]) => [role, scramVerifier(role, password)] as const);
  await primary.client.query(renderPasswordNotes(new Map(verifiers)));
});

/** Why it does not get in. */
async function logIn(role: string, password: string, port: string): Promise<string | undefined> {
  const client = new Client({ ...clientConfig(port), user: role, password });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return undefined;
  } catch (error) {
    return whyRefused(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}
