/** Where the image has the agent: the entrypoint by which this program knows its own container. */
export const agentFile = "/usr/local/lib/centraldb/agent/agent.cjs";
/** restore_command's program, beside it. */
export const fetchWalFile = "/usr/local/lib/centraldb/fetch-wal.sh";
