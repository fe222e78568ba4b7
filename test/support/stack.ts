import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parse, stringify } from "yaml";
import { Client } from "pg";
import type { Connection, Endpoints } from "../../components/access/endpoints";
import type { LoginTarget } from "../../ops/login-target";
import { tierRole, tiers, type Service } from "../../services/service";
import { run, type Ran } from "./run";
import { freePort } from "./server";
import { buildStandInImage, buildStandInNodeImage, standInImage, standInNodeImage } from "./stand-in-image";

const root = join(__dirname, "..", "..");

/** A stack in a copy of the program of its own, with a file state and names of its own: a real `pulumi up`. */
export interface TestStack {
  readonly folder: string;
  readonly prefix: string;
  /** Of the primary; the replica's is the next. */
  readonly port: number;
  /** Finds pulumi and the stack's state. */
  readonly environment: NodeJS.ProcessEnv;
  /** Runs the pulumi CLI on this stack. */
  pulumi(...args: string[]): Ran;
  /** Runs the pulumi CLI on this stack, and goes on. */
  startPulumi(...args: string[]): RunningPulumi;
  /** Runs `npm run up` with these options, and goes on. */
  startUp(...options: string[]): RunningPulumi;
  /** Runs `npm run up` with these options. */
  up(...options: string[]): Ran;
  /** The same with another stack of the copy. */
  upOf(stack: string, ...options: string[]): Ran;
  /** Runs `npm run ops` with these arguments. */
  ops(...args: string[]): Ran;
  /** Writes another registry into the copy. */
  setRegistry(services: readonly Service[]): void;
  /** Sets a key of the stack's file. */
  setConfig(key: string, value: unknown): void;
  /** The state file's text. */
  state(): string;
  output(name: string): unknown;
  /** A superuser's connection to the primary. */
  superuser(): Promise<Client>;
  /** Where the services log in, with the passwords of the stack's outputs. */
  logins(services: readonly Service[]): LoginTarget;
  /** Removes whatever is left: containers, volumes, networks of its prefix, and the folder. */
  clean(): void;
}

/** A pulumi that works at this moment. */
export interface RunningPulumi {
  /** What it has printed so far. */
  output(): string;
  /** Resolves when it has printed what matches; rejects when it has ended without. */
  printed(pattern: RegExp): Promise<void>;
  /** As the kernel does when memory is short: it cleans up nothing. */
  kill(): Promise<void>;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/** Copies the program and builds the stand-in image; `extra` goes into the stack's file. */
export async function prepareStack(
  extra: Readonly<Record<string, unknown>> = {},
  name: "dev" | "prod" = "dev",
): Promise<TestStack> {
  if (
    !searchPath()
      .split(delimiter)
      .some((folder) => existsSync(join(folder, "pulumi")))
  ) {
    throw new Error("this ring needs the pulumi CLI on PATH or in ~/.pulumi/bin");
  }
  buildStandInImage();
  buildStandInNodeImage();

  const prefix = `ct${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  const port = await freePort();
  const stack = stackIn(checkOut(name), { name, prefix, port });
  const own = {
    "centraldb:image": standInImage,
    "centraldb:backupNodeImage": standInNodeImage,
    "centraldb:namePrefix": prefix,
    "centraldb:primaryPort": port,
    "centraldb:replicaPort": port + 1,
  };
  for (const [key, value] of Object.entries({ ...own, ...extra })) stack.setConfig(key, value);
  return stack;
}

/**
 * Loses the machine stack dev is on: containers, volumes, network, the image that was built there, the state, its passphrase, the checkout.
 * @returns the same stack on a machine that has the repository and in it the stack's file
 */
export function loseMachine(lost: TestStack): TestStack {
  const { folder, prefix, port } = lost;
  const name = "dev";
  const stackFile = readFileSync(join(folder, `Pulumi.${name}.yaml`), "utf8");
  lost.clean();
  // By name: another stack's may be the same image.
  const list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", `${prefix}-backup`];
  const images = spawnSync("docker", list, { encoding: "utf8" }).stdout.split("\n").filter(Boolean);
  for (const image of images) spawnSync("docker", ["image", "rm", image]);
  const fresh = checkOut(name);
  writeFileSync(join(fresh, `Pulumi.${name}.yaml`), stackFile);
  return stackIn(fresh, { name, prefix, port });
}

const searchPath = () => [process.env["PATH"], join(homedir(), ".pulumi", "bin")].join(delimiter);

/** A copy of the program; its folder. */
function checkOut(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-e2e-"));
  for (const file of [
    "index.ts",
    "package.json",
    "tsconfig.json",
    "Pulumi.yaml",
    `Pulumi.${name}.yaml`,
    "services",
    "components",
    "agent",
    "ops",
  ]) {
    cpSync(join(root, file), join(folder, file), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

interface StackNames extends Pick<TestStack, "prefix" | "port"> {
  readonly name: string;
}

function stackIn(folder: string, { name, prefix, port }: StackNames): TestStack {
  const stackFile = join(folder, `Pulumi.${name}.yaml`);
  const setConfig = (key: string, value: unknown) => {
    const content = parse(readFileSync(stackFile, "utf8")) as { config: Record<string, unknown> };
    content.config[key] = value;
    writeFileSync(stackFile, stringify(content));
  };
  const passphraseFile = join(folder, ".pulumi-state", "passphrase");
  const backend = {
    PULUMI_BACKEND_URL: `file://${join(folder, ".pulumi-state")}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile,
  };
  const base = {
    ...process.env,
    PATH: searchPath(),
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_HOME: join(folder, ".pulumi-home"),
  };
  const pulumi = (...args: string[]) =>
    run("pulumi", [...args, "--stack", name, "--non-interactive"], { cwd: folder, env: { ...base, ...backend } });
  const start = (command: string, args: readonly string[], env: NodeJS.ProcessEnv): RunningPulumi => {
    const child = spawn(command, args, { cwd: folder, env });
    let text = "";
    const look = new EventTarget();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        look.dispatchEvent(new Event("data"));
      });
    }
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    return {
      output: () => text,
      printed: async (pattern) => {
        const seen = new Promise<void>((resolve) => {
          look.addEventListener("data", () => {
            if (pattern.test(text)) resolve();
          });
        });
        const tooLate = ended.then(() => {
          if (!pattern.test(text)) throw new Error(`pulumi ended without ${String(pattern)}: ${text}`);
        });
        await Promise.race([seen, tooLate]);
      },
      kill: async () => {
        child.kill("SIGKILL");
        await ended;
      },
      ended,
    };
  };
  const startPulumi = (...args: string[]) =>
    start("pulumi", [...args, "--stack", name, "--non-interactive"], { ...base, ...backend });
  const upOptions = ["--yes", "--non-interactive", "--color=never"];
  const node = (env: NodeJS.ProcessEnv, script: string, ...args: string[]) =>
    run(process.execPath, ["--import", "tsx", script, ...args], { cwd: folder, env });
  const upOf = (other: string, ...options: string[]) => node(base, "ops/up.ts", other, ...upOptions, ...options);
  const output = (key: string): unknown => {
    const ran = pulumi("stack", "output", key, "--json", "--show-secrets");
    if (ran.status !== 0) throw new Error(ran.output);
    return JSON.parse(ran.stdout);
  };

  // Whatever the stack asks for: what must be encrypted is tried elsewhere.
  const authority = () => String(output("caCertificate"));
  const primaryPort = () => (output("endpoints") as Endpoints).rw.host.port;

  return {
    folder,
    prefix,
    port,
    environment: { ...base, ...backend },
    pulumi,
    output,
    startPulumi,
    startUp: (...options) =>
      start(process.execPath, ["--import", "tsx", "ops/up.ts", name, ...upOptions, ...options], base),
    up: (...options) => upOf(name, ...options),
    upOf,
    ops: (...args) => node(base, "ops/main.ts", ...args),
    setRegistry: (services) => {
      const literal = `import type { Service } from "./service";\nexport const services: readonly Service[] = ${JSON.stringify(services)};\n`;
      writeFileSync(join(folder, "services", "registry.ts"), literal);
    },
    setConfig,
    state: () => readFileSync(join(folder, ".pulumi-state", ".pulumi", "stacks", "centraldb", `${name}.json`), "utf8"),
    superuser: async () => {
      const client = new Client({
        host: "127.0.0.1",
        port: primaryPort(),
        user: "postgres",
        password: output("superuserPassword") as string,
        database: "appdb",
        ssl: { ca: authority() },
      });
      client.on("error", () => undefined);
      await client.connect();
      return client;
    },
    logins: (services) => {
      const connections = output("connections") as Record<string, Record<string, Connection>>;
      const passwords = services.flatMap(({ name, code }) =>
        tiers.map((tier) => [tierRole(code, tier), connections[name]?.[tier]?.password ?? ""] as const),
      );
      return {
        host: "127.0.0.1",
        port: primaryPort(),
        database: "appdb",
        passwords: new Map(passwords),
        authority: authority(),
      };
    },
    clean: () => {
      const docker = (...args: string[]) =>
        spawnSync("docker", args, { encoding: "utf8" }).stdout.split("\n").filter(Boolean);
      for (const id of docker("ps", "-aq", "--filter", `name=^/${prefix}`)) docker("rm", "-f", "-v", id);
      for (const id of docker("volume", "ls", "-q", "--filter", `name=^${prefix}`)) docker("volume", "rm", id);
      for (const id of docker("network", "ls", "-q", "--filter", `name=^${prefix}`)) docker("network", "rm", id);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
