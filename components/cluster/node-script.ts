/** Where a node's container has its script: the entrypoint by which this program knows its own. */
export const nodeScript = "/usr/local/bin/centraldb-node";

/** Counts how often a container was found missing; see generationOf. */
export const generationLabel = "centraldb.generation";
