/** Of containers and data volumes: the stack that made them. Two stacks on one engine must not take each other's. */
export const stackLabel = "centraldb.stack";

/** Of a container: counts how often it was found missing; see Differences.generations. */
export const generationLabel = "centraldb.generation";

/** Of a container: begin of the labels that say what only another container brings; see restartLabels. */
export const restartLabelPrefix = "centraldb.restart.";

/** Of a container: the state that made it, by {@link identityName}. A stack whose state was taken for lost may have two. */
export const stateLabel = "centraldb.state";

/** The resource whose value is another in each state of a stack. */
export const identityName = "cluster-identity";
