import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(__dirname, "..", "..");

export interface Remark {
  readonly id: number;
  body: string;
  readonly user: { readonly login: string };
}

export interface Issue {
  readonly number: number;
  title: string;
  body: string;
  state: string;
  readonly user: { readonly login: string };
}

const bot = "github-actions[bot]";

/** A server that answers as GitHub's API does, of the repository o/r with the pull request 7, to the token "secret". */
export class FakeGitHub {
  /** Of services/access.json, by commit: `fork` where `base` and `head` parted. */
  readonly files: Record<string, string> = {};
  comments: Remark[] = [];
  issues: Issue[] = [];
  /** Method and path below the repository, in order. */
  readonly requests: string[] = [];
  /** For what a workflow's runner keeps. */
  readonly folder = mkdtempSync(join(tmpdir(), "centraldb-github-"));
  private readonly server: Server;

  constructor() {
    const pull = { number: 7, base: { sha: "base" }, head: { sha: "head" } };
    writeFileSync(join(this.folder, "event.json"), JSON.stringify({ pull_request: pull }));
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const asked = `${request.method ?? ""} ${(request.url ?? "").replace("/repos/o/r", "")}`;
        const [status, body] = this.answer(asked, request.headers.authorization, Buffer.concat(chunks).toString());
        response.writeHead(status).end(body);
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
  }

  close(): void {
    this.server.close();
    rmSync(this.folder, { recursive: true });
  }

  /** Runs a script of ops/github as a workflow does. */
  run(
    script: string,
    args: readonly string[] = [],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<{ status: number | null; output: string }> {
    const { port } = this.server.address() as AddressInfo;
    const child = spawn(process.execPath, ["--import", "tsx", `ops/github/${script}.ts`, ...args], {
      cwd: root,
      env: {
        PATH: process.env["PATH"],
        GITHUB_API_URL: `http://127.0.0.1:${port}`,
        GITHUB_REPOSITORY: "o/r",
        GITHUB_TOKEN: "secret",
        GITHUB_EVENT_PATH: join(this.folder, "event.json"),
        ...environment,
      },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => (output += part.toString()));
    return new Promise((resolve) => child.once("close", (status) => resolve({ status, output })));
  }

  private answer(asked: string, authorization: string | undefined, sent: string): [status: number, body: string] {
    this.requests.push(asked);
    if (authorization !== "Bearer secret") return [401, "Bad credentials"];
    const { body = "", title = "", state } = (sent === "" ? {} : JSON.parse(sent)) as Partial<Issue>;
    const user = { login: bot };
    const page = (all: readonly unknown[], number: string | undefined): [number, string] => [
      200,
      JSON.stringify(all.slice((Number(number) - 1) * 100, Number(number) * 100)),
    ];
    const routes: readonly [RegExp, (part: string) => [status: number, body: string]][] = [
      [
        /^GET \/contents\/services\/access\.json\?ref=(\w+)$/,
        (commit) => (this.files[commit] === undefined ? [404, "Not Found"] : [200, this.files[commit]]),
      ],
      [
        /^GET \/compare\/base\.\.\.head\?per_page=1$/,
        () => [200, JSON.stringify({ merge_base_commit: { sha: "fork" } })],
      ],
      [/^GET \/issues\/7\/comments\?per_page=100&page=(\d+)$/, (number) => page(this.comments, number)],
      [
        /^POST \/issues\/7\/comments$/,
        () => {
          this.comments.push({ id: this.comments.length + 1, body, user });
          return [201, "{}"];
        },
      ],
      [
        /^PATCH \/issues\/comments\/(\d+)$/,
        (id) => {
          const edited = this.comments.find((one) => one.id === Number(id));
          if (edited === undefined) return [404, "Not Found"];
          edited.body = body;
          return [200, "{}"];
        },
      ],
      [
        /^GET \/issues\?state=open&creator=github-actions%5Bbot%5D&per_page=100&page=(\d+)$/,
        (number) =>
          page(
            this.issues.filter((one) => one.state === "open" && one.user.login === bot),
            number,
          ),
      ],
      [
        /^POST \/issues$/,
        () => {
          this.issues.push({ number: this.issues.length + 1, title, body, state: "open", user });
          return [201, "{}"];
        },
      ],
      [
        /^PATCH \/issues\/(\d+)$/,
        (number) => {
          const edited = this.issues.find((one) => one.number === Number(number));
          if (edited === undefined) return [404, "Not Found"];
          Object.assign(edited, {
            ...(title ? { title } : {}),
            ...(body ? { body } : {}),
            ...(state ? { state } : {}),
          });
          return [200, "{}"];
        },
      ],
    ];
    for (const [route, reply] of routes) {
      const found = route.exec(asked);
      if (found !== null) return reply(found[1] ?? "");
    }
    return [404, `${asked}: Not Found`];
  }
}
