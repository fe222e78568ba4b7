import * as pulumi from "@pulumi/pulumi";
import { printable } from "../../services/printable";
import type { ResolvedService } from "../../services/service";
import { superuserRole, type Plan } from "../access/plan-items";
import { renderSettingsBack } from "../access/sql";
import { docker } from "../cluster/docker-cli";
import { restartNotices } from "../cluster/restart-notice";
import { surveyEngine, type Survey } from "../cluster/survey";
import { database, type Settings } from "../settings-rules";
import { asInState, compare, type Differences } from "./existing";
import { settingsBack } from "./own-settings";
import { readOwnState } from "./read-state";
import { refusals } from "./refusals";
import { dropFailure, retiredNotices, retiredRefusals } from "./retired";
import type { OwnState } from "./state";
import { dropRetired, findRetired, primaryContainer, surveyRetired, type Asked } from "./survey-retired";

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
  const stack = pulumi.getStack();
  const primary = found === undefined ? undefined : primaryContainer(settings, found);
  const retired = surveyRetired(stack, plan.retired, primary, { settings, dockerHost });
  const problems = [
    ...refusals(stack, plan, settings, state, survey),
    ...(found === undefined ? [] : retiredRefusals(stack, plan.retired, state, retired)),
    ...unasked(differences),
  ];
  if (problems.length > 0) {
    throw new pulumi.RunError(["refused, and nothing was changed:", ...problems.map((line) => `  ${line}`)].join("\n"));
  }
  if (found === undefined) void pulumi.log.warn("no Docker engine answers: what runs is not compared with the program");
  const { statements, notices } = settingsBack(plan, survey.ownSettings);
  const restarts = restartNotices(survey.nodes, settings, stack);
  const drops = retiredNotices(stack, plan.retired, retired);
  for (const notice of [...restarts, ...differences.notices, ...silenceNotices(survey), ...notices, ...drops])
    void pulumi.log.warn(notice);
  if (!pulumi.runtime.isDryRun()) {
    differences.inTheWay.forEach((container) => remove(container, dockerHost));
    if (statements.length > 0 && primary !== undefined) setBack(statements, primary, dockerHost);
    const isThere = ({ code }: ResolvedService) => retired?.get(code)?.isThere === true;
    if (primary !== undefined) {
      plan.retired.filter(isThere).forEach((service) => drop(service, stack, primary, { settings, dockerHost }));
    }
  }
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

/** It keeps nobody from a freeze, which is the cure where a service has brought it about. */
export function silenceNotices({ silence }: Pick<Survey, "silence">): string[] {
  if (silence === undefined) return [];
  return [
    `the primary gives no answer (${printable(silence)}): what roles have set themselves is neither known nor set back, nor is it known ` +
      "which services are dropped in part; npm run up once more, after npm run ops -- end-sessions where a service keeps it busy",
  ];
}

/** Before anything is planned: the provider takes back no right of a role that is gone, and pulumi only forgets them. */
function drop(service: ResolvedService, stack: string, container: string, asked: Asked): void {
  const { status, stderr } = dropRetired(service, service.retiredBackups[stack] ?? "", container, asked.dockerHost);
  if (status === 0) return;
  throw new pulumi.RunError(dropFailure(service, stack, stderr, findRetired(service, container, asked)));
}

/** Before the provider looks at a role, and before anybody tries its login. */
function setBack(statements: readonly string[], container: string, host: string | undefined): void {
  const psql = ["psql", "-XqU", superuserRole, "-d", database, "-v", "ON_ERROR_STOP=1", "-f", "-"];
  const input = renderSettingsBack(statements);
  // Somebody may have locked what every login needs since it was asked.
  const options = { input, host, timeoutMs: setBackTimeoutMs };
  const { status, stderr } = docker(["exec", "--interactive", container, ...psql], options);
  if (status !== 0) throw new pulumi.RunError(`roles' own settings cannot be set back: ${stderr.trim()}`);
}

/** Longer than it waits for any lock: five times two seconds for each catalog that somebody has. */
const setBackTimeoutMs = 120_000;

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
