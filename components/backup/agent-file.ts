/** Where the image has the agent: the entrypoint by which this program knows its own container. */
export const agentFile = "/usr/local/lib/centraldb/agent/agent.cjs";
