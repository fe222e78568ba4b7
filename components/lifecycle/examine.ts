import * as pulumi from "@pulumi/pulumi";
import type { Plan } from "../access/plan-items";
import { docker } from "../cluster/docker-cli";
import { restartNotices } from "../cluster/restart-notice";
import { surveyEngine } from "../cluster/survey";
import type { Settings } from "../settings-rules";
import { asInState, compare, type Differences } from "./existing";
import { readOwnState } from "./read-state";
import { refusals } from "./refusals";
import type { OwnState } from "./state";

/** What there is before anything is planned. */
export interface Existing extends Differences {
  readonly state: OwnState;
}

/** The environment variable by which a person agrees that a stack whose state is empty takes over what exists: the stack's name. */
const adoptVariable = "CENTRALDB_ADOPT";

/**
 * Compares program, state and engine, says what `up` will do that pulumi does not show, and clears the way for it.
 * @throws pulumi.RunError where data or access would be lost, before any resource is planned
 */
export async function examine(plan: Plan, settings: Settings, dockerHost: string | undefined): Promise<Existing> {
  const state = await readOwnState();
  const found = surveyEngine(settings, dockerHost);
  const survey = found ?? asInState(state, settings);
  const differences = compare(settings, state, survey);
  const problems = [...refusals(pulumi.getStack(), plan, settings, state, survey), ...unasked(differences)];
  if (problems.length > 0) {
    throw new pulumi.RunError(["refused, and nothing was changed:", ...problems.map((line) => `  ${line}`)].join("\n"));
  }
  if (found === undefined) void pulumi.log.warn("no Docker engine answers: what runs is not compared with the program");
  for (const notice of [...restartNotices(survey.nodes, settings, pulumi.getStack()), ...differences.notices]) {
    void pulumi.log.warn(notice);
  }
  if (!pulumi.runtime.isDryRun()) differences.inTheWay.forEach((container) => remove(container, dockerHost));
  return { ...differences, state };
}

/** A checkout without the state (a colleague's, a pipeline with the wrong backend) would change every password. */
function unasked({ adoptedVolumes }: Differences): string[] {
  const stack = pulumi.getStack();
  if (adoptedVolumes.length === 0 || process.env[adoptVariable] === stack) return [];
  return [
    `stack ${stack}: its state is empty, and the engine has its data (${adoptedVolumes.join(", ")}): log in to the backend ` +
      `that has the state; where that is lost, npm run up -- ${stack} --adopt takes the data over, with new passwords ` +
      `(${adoptVariable}=${stack} for a bare pulumi up)`,
  ];
}

/** Under the update's lock: nobody else makes or needs it at this moment. */
function remove(container: string, host: string | undefined): void {
  for (const command of [
    ["stop", container],
    ["rm", container],
  ]) {
    const { status, stderr } = docker(command, { host });
    if (status !== 0) throw new pulumi.RunError(`${container} cannot be removed: ${stderr.trim()}`);
  }
}
