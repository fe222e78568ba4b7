import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What a node's container runs. */
export const nodeScriptText = readFileSync(join(__dirname, "scripts", "node.sh"), "utf8");

/** File of what ends sessions inside a node's container, without a login. */
export const endSessionsScript = join(__dirname, "scripts", "end-sessions.sh");

/** Where the container has it: the entrypoint by which this program knows its own. */
export const nodeScript = "/usr/local/bin/centraldb-node";
