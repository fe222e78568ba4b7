import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { generationLabel, stackLabel, stateLabel } from "../cluster/labels";
import { agentFile } from "./agent-file";

interface AgentContainer {
  /** Words of the agent's command line, by what they make it do. */
  readonly commands: { readonly serve: readonly string[]; readonly health: readonly string[] };
  /** See Differences.generations. */
  readonly generation: number;
  /** Of this state of the stack. */
  readonly identity: pulumi.Input<string>;
  /** Until Docker kills it. */
  readonly stopSeconds: number;
}

/**
 * Much for a dump, or a server of 128 MB shared buffers and one session. Of more a service is the cause, by its code or by what pg_dump
 * must read of it: that must not end the servers beside it.
 */
const memoryMiB = 4096;
/** A process that asks for more than half of it fails alone, before the kernel ends one. */
const processBytes = (memoryMiB / 2) * 1024 ** 2;

/** What the containers of the agent have in common: who it is, how it is watched, logs, and ends, and how much memory it takes. */
export function agentContainer({
  commands,
  generation,
  identity,
  stopSeconds,
}: AgentContainer): Omit<docker.ContainerArgs, "image"> {
  return {
    entrypoints: ["node", agentFile, ...commands.serve],
    user: "postgres",
    // In the order in which the provider reads them: a preview pairs them by place.
    labels: [
      ...(generation > 0 ? [{ label: generationLabel, value: String(generation) }] : []),
      { label: stackLabel, value: pulumi.getStack() },
      { label: stateLabel, value: identity },
    ],
    restart: "unless-stopped",
    logDriver: "json-file",
    logOpts: { "max-size": "20m", "max-file": "5" },
    healthcheck: {
      tests: ["CMD", "node", agentFile, ...commands.health],
      interval: "30s",
      timeout: "15s",
      retries: 3,
      startPeriod: "1m0s",
    },
    memory: memoryMiB,
    memorySwap: memoryMiB,
    ulimits: [{ name: "data", soft: processBytes, hard: processBytes }],
    stopTimeout: stopSeconds,
    destroyGraceSeconds: stopSeconds,
    wait: false,
  };
}
