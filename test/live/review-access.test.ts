import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { predictMatrix } from "../../components/access/matrix";
import { formatDocument } from "../../ops/access/document";
import { services } from "../../services/registry";
import type { Service } from "../../services/service";
import { testPlan } from "../support/server";

// `npm run review:access` against a server that answers as GitHub's API does.
const root = join(__dirname, "..", "..");
const [gatherer, aggregator] = services.slice(0, 2) as [Service, Service];
const document = (...registry: readonly Service[]) => formatDocument(predictMatrix(testPlan(registry)));

interface Remark {
  readonly id: number;
  body: string;
  readonly user: { readonly login: string };
}

let files: Record<string, string>;
let comments: Remark[];
let requests: string[];
let api: Server;
let folder: string;

beforeEach(async () => {
  files = {
    fork: document(gatherer, aggregator),
    head: document(gatherer, { ...aggregator, reads: ["gatherer"] }),
  };
  comments = [];
  requests = [];
  folder = mkdtempSync(join(tmpdir(), "centraldb-review-"));
  writeFileSync(
    join(folder, "event.json"),
    JSON.stringify({ pull_request: { number: 7, base: { sha: "base" }, head: { sha: "head" } } }),
  );
  api = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const [status, body] = answer(
        `${request.method ?? ""} ${request.url ?? ""}`,
        request.headers.authorization,
        Buffer.concat(chunks).toString(),
      );
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  api.close();
  rmSync(folder, { recursive: true });
});

function answer(asked: string, authorization: string | undefined, sent: string): [status: number, body: string] {
  requests.push(asked.replace("/repos/o/r", ""));
  if (authorization !== "Bearer secret") return [401, "Bad credentials"];
  const [, commit] = /^GET \/repos\/o\/r\/contents\/services\/access\.json\?ref=(\w+)$/.exec(asked) ?? [];
  if (commit !== undefined) return files[commit] === undefined ? [404, "Not Found"] : [200, files[commit]];
  if (asked === "GET /repos/o/r/compare/base...head?per_page=1") {
    return [200, JSON.stringify({ merge_base_commit: { sha: "fork" } })];
  }
  const [, page] = /^GET \/repos\/o\/r\/issues\/7\/comments\?per_page=100&page=(\d+)$/.exec(asked) ?? [];
  if (page !== undefined) return [200, JSON.stringify(comments.slice((Number(page) - 1) * 100, Number(page) * 100))];
  const { body } = JSON.parse(sent) as { body: string };
  if (asked === "POST /repos/o/r/issues/7/comments") {
    comments.push({ id: comments.length + 1, body, user: { login: "github-actions[bot]" } });
    return [201, "{}"];
  }
  const [, id] = /^PATCH \/repos\/o\/r\/issues\/comments\/(\d+)$/.exec(asked) ?? [];
  const edited = comments.find((one) => one.id === Number(id));
  if (edited === undefined) return [404, "Not Found"];
  edited.body = body;
  return [200, "{}"];
}

function review(environment: NodeJS.ProcessEnv = {}): Promise<{ status: number | null; output: string }> {
  const { port } = api.address() as AddressInfo;
  const child = spawn(process.execPath, ["--import", "tsx", "ops/github/review-access.ts"], {
    cwd: root,
    env: {
      PATH: process.env["PATH"],
      GITHUB_API_URL: `http://127.0.0.1:${port}`,
      GITHUB_REPOSITORY: "o/r",
      GITHUB_TOKEN: "secret",
      GITHUB_EVENT_PATH: join(folder, "event.json"),
      ...environment,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => (output += part.toString()));
  return new Promise((resolve) => child.once("close", (status) => resolve({ status, output })));
}

describe("the comment of a pull request", () => {
  it("says what it changes since it parted from its base, once, and is edited afterwards", async () => {
    // Somebody else's comment with the mark, and a hundred others in front.
    comments = Array.from({ length: 101 }, (_, index) => ({
      id: index + 1,
      body: index === 0 ? "<!-- centraldb: access -->\nnot ours" : "talk",
      user: { login: "somebody" },
    }));
    expect((await review()).status).toBe(0);
    expect(comments).toHaveLength(102);
    const [ours] = comments.slice(-1);
    expect(ours?.body).toMatch(/^<!-- centraldb: access -->\n## Access changes\n/);
    expect(ours?.body).toContain("| aggregator | `agapp`, `aguser` | schema `gt` | – → **USAGE** | 🔴 high |");

    files["head"] = files["fork"] ?? "";
    expect((await review()).status).toBe(0);
    expect(comments).toHaveLength(102);
    expect(ours?.body).toContain("None: every role may do what it could do before.");
    expect(comments[0]?.body).toContain("not ours");
    expect(requests.filter((one) => one.startsWith("PATCH"))).toEqual(["PATCH /issues/comments/102"]);
  });

  it.each([
    ["is gone", undefined, "services/access.json at head is gone"],
    ["is no JSON", "{ <img src=x>", "not JSON"],
    ["is of another form", '{"format": 99}', '"format" must be 1'],
  ])("says so where the file %s, as text", async (_, text, why) => {
    if (text === undefined) delete files["head"];
    else files["head"] = text;
    expect((await review()).status).toBe(0);
    expect(comments[0]?.body).toContain("Not known: ");
    expect(comments[0]?.body).toContain(why);
    expect(comments[0]?.body).not.toMatch(/[^\\]<img/);
  });

  it("shows all as new where the base has no such file", async () => {
    delete files["fork"];
    expect((await review()).status).toBe(0);
    expect(comments[0]?.body).toContain("new roles");
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
