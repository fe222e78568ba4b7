import { readFileSync } from "node:fs";
import { OperatorError } from "../operator-error";

export interface PullRequest {
  readonly number: number;
  readonly base: { readonly sha: string };
  readonly head: { readonly sha: string };
}

/**
 * The pull request a workflow runs for, of its event's file.
 * @throws OperatorError outside such a workflow
 */
export function pullRequest(environment: NodeJS.ProcessEnv): PullRequest {
  const file = environment["GITHUB_EVENT_PATH"];
  const event = file === undefined ? {} : (JSON.parse(readFileSync(file, "utf8")) as { pull_request?: PullRequest });
  if (event.pull_request !== undefined) return event.pull_request;
  throw new OperatorError("expected the event of a pull request (GITHUB_EVENT_PATH)");
}
