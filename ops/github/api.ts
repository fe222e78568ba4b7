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

/** Anybody may write a mark into a text of theirs; what we have written begins with it. */
const markOf = (mark: string) => `<!-- centraldb: ${mark} -->\n`;
const isOurs = (mark: string) => (one: Comment) =>
  one.user?.login === bot && one.body?.startsWith(markOf(mark)) === true;

/** The first of a list that is ours; lists come in pages. */
async function findOurs<T extends Comment>(repository: Repository, path: string, mark: string): Promise<T | undefined> {
  for (let page = 1; ; page++) {
    const answer = await request(repository, `${path}per_page=100&page=${page}`);
    const found = ((await answer?.json()) ?? []) as readonly T[];
    const ours = found.find(isOurs(mark));
    if (ours !== undefined || found.length < 100) return ours;
  }
}

/** Writes a comment of a pull request, or edits the one with the same mark; one mark, one comment. */
export async function comment(repository: Repository, pull: number, mark: string, text: string): Promise<void> {
  const body = markOf(mark) + text;
  const ours = await findOurs<Comment>(repository, `/issues/${pull}/comments?`, mark);
  if (ours === undefined) await request(repository, `/issues/${pull}/comments`, { method: "POST", body: { body } });
  else await request(repository, `/issues/comments/${ours.id}`, { method: "PATCH", body: { body } });
}

interface Issue extends Comment {
  readonly number: number;
}

/**
 * Opens an issue, or edits the open one with the same mark; closes it where there is nothing to say any more.
 * @param text undefined where all is well
 */
export async function issue(
  repository: Repository,
  { mark, title, text }: { readonly mark: string; readonly title: string; readonly text: string | undefined },
): Promise<void> {
  const ours = await findOurs<Issue>(repository, `/issues?state=open&creator=${encodeURIComponent(bot)}&`, mark);
  if (text === undefined) {
    const closed = { state: "closed", state_reason: "completed" };
    if (ours !== undefined) await request(repository, `/issues/${ours.number}`, { method: "PATCH", body: closed });
    return;
  }
  const body = markOf(mark) + text;
  if (ours === undefined) await request(repository, "/issues", { method: "POST", body: { title, body } });
  else await request(repository, `/issues/${ours.number}`, { method: "PATCH", body: { title, body } });
}
