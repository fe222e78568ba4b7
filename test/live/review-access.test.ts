import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { predictMatrix } from "../../components/access/matrix";
import { formatDocument } from "../../ops/access/document";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { FakeGitHub } from "../support/github";
import { testPlan } from "../support/server";

// `npm run review:access` against a server that answers as GitHub's API does.
const [gatherer, aggregator] = services.slice(0, 2) as [Service, Service];
const document = (...registry: readonly Service[]) => formatDocument(predictMatrix(testPlan(registry)));

let github: FakeGitHub;
beforeEach(async () => {
  github = new FakeGitHub();
  github.files["fork"] = document(gatherer, aggregator);
  github.files["head"] = document(gatherer, { ...aggregator, reads: ["gatherer"] });
  await github.listen();
});
afterEach(() => github.close());

const review = (environment: NodeJS.ProcessEnv = {}) => github.run("review-access", [], environment);

describe("the comment of a pull request", () => {
  it("says what it changes since it parted from its base, once, and is edited afterwards", async () => {
    // Somebody else's comment with the mark, and a hundred others in front.
    github.comments = Array.from({ length: 101 }, (_, index) => ({
      id: index + 1,
      body: index === 0 ? "<!-- centraldb: access -->\nnot ours" : "talk",
      user: { login: "somebody" },
    }));
    expect((await review()).status).toBe(0);
    expect(github.comments).toHaveLength(102);
    const [ours] = github.comments.slice(-1);
    expect(ours?.body).toMatch(/^<!-- centraldb: access -->\n## Access changes\n/);
    expect(ours?.body).toContain("| aggregator | `agapp`, `aguser` | schema `gt` | – → **USAGE** | 🔴 high |");

    github.files["head"] = github.files["fork"] ?? "";
    expect((await review()).status).toBe(0);
    expect(github.comments).toHaveLength(102);
    expect(ours?.body).toContain("None: every role may do what it could do before.");
    expect(github.comments[0]?.body).toContain("not ours");
    expect(github.requests.filter((one) => one.startsWith("PATCH"))).toEqual(["PATCH /issues/comments/102"]);
  });

  it.each([
    ["is gone", undefined, "services/access.json at head is gone"],
    ["is no JSON", "{ <img src=x>", "not JSON"],
    ["is of another form", '{"format": 99}', '"format" must be 1'],
  ])("says so where the file %s, as text", async (_, text, why) => {
    if (text === undefined) delete github.files["head"];
    else github.files["head"] = text;
    expect((await review()).status).toBe(0);
    expect(github.comments[0]?.body).toContain("Not known: ");
    expect(github.comments[0]?.body).toContain(why);
    expect(github.comments[0]?.body).not.toMatch(/[^\\]<img/);
  });

  it("shows all as new where the base has no such file", async () => {
    delete github.files["fork"];
    expect((await review()).status).toBe(0);
    expect(github.comments[0]?.body).toContain("new roles");
  });

  it("is not made where GitHub refuses: exit status 1, in one line, without the token", async () => {
    const refused = await review({ GITHUB_TOKEN: "stale" });
    expect(refused).toEqual({
      status: 1,
      output: "GitHub refused GET /compare/base...head?per_page=1: 401 Bad credentials\n",
    });
    const outside = await review({ GITHUB_TOKEN: "" });
    expect(outside.status).toBe(1);
    expect(outside.output).toMatch(/^expected GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN/);
  });
});
