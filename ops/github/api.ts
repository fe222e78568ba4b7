import { OperatorError } from "../operator-error";

/** What a workflow's environment says of its repository. */
export interface Repository {
  /** `https://api.github.com` */
  readonly api: string;
  /** `owner/name` */
  readonly name: string;
  readonly token: string;
}

/** @throws OperatorError outside a workflow */
export function repositoryOfWorkflow(environment: NodeJS.ProcessEnv): Repository {
  const { GITHUB_API_URL: api, GITHUB_REPOSITORY: name, GITHUB_TOKEN: token } = environment;
  if (api === undefined || name === undefined || token === undefined || token === "") {
    throw new OperatorError(
      "expected GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN, as a workflow of GitHub has them (env: GITHUB_TOKEN: ${{ github.token }})",
    );
  }
  return { api, name, token };
}

/** One request below `/repos/OWNER/NAME`; undefined where there is no such thing. */
async function request(
  { api, name, token }: Repository,
  path: string,
  options: { readonly method?: string; readonly body?: unknown; readonly accept?: string } = {},
): Promise<Response | undefined> {
  const { method = "GET", body, accept = "application/vnd.github+json" } = options;
  const response = await fetch(`${api}/repos/${name}${path}`, {
    method,
    headers: { accept, authorization: `Bearer ${token}`, "x-github-api-version": "2022-11-28" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  if (response.status === 404 && method === "GET") return undefined;
  if (!response.ok) {
    const said = (await response.text()).slice(0, 300);
    throw new OperatorError(`GitHub refused ${method} ${path}: ${response.status} ${said}`);
  }
  return response;
}

/** The text of a file at a commit; undefined where it has none. */
export async function fileAt(repository: Repository, commit: string, path: string): Promise<string | undefined> {
  const answer = await request(repository, `/contents/${path}?ref=${commit}`, {
    accept: "application/vnd.github.raw+json",
  });
  return answer?.text();
}

/** Where two commits parted. */
export async function forkPoint(repository: Repository, base: string, head: string): Promise<string> {
  const answer = await request(repository, `/compare/${base}...${head}?per_page=1`);
  const compared = (await answer?.json()) as { merge_base_commit?: { sha?: string } } | undefined;
  const sha = compared?.merge_base_commit?.sha;
  if (sha === undefined) throw new OperatorError(`${base} and ${head} have no common past in ${repository.name}`);
  return sha;
}

interface Comment {
  readonly id: number;
  readonly body?: string;
  readonly user?: { readonly login: string } | null;
}

/** Who writes with a workflow's own token. */
const bot = "github-actions[bot]";

/** Writes a comment of a pull request, or edits the one with the same mark; one mark, one comment. */
export async function comment(repository: Repository, pull: number, mark: string, text: string): Promise<void> {
  const line = `<!-- centraldb: ${mark} -->`;
  const body = `${line}\n${text}`;
  for (let page = 1; ; page++) {
    const answer = await request(repository, `/issues/${pull}/comments?per_page=100&page=${page}`);
    const comments = ((await answer?.json()) ?? []) as readonly Comment[];
    // Anybody may write the mark into a comment of theirs.
    const ours = comments.find((one) => one.user?.login === bot && one.body?.startsWith(line));
    if (ours !== undefined) {
      await request(repository, `/issues/comments/${ours.id}`, { method: "PATCH", body: { body } });
      return;
    }
    if (comments.length < 100) break;
  }
  await request(repository, `/issues/${pull}/comments`, { method: "POST", body: { body } });
}
