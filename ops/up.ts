import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { Command } from "commander";
import { OperatorError } from "./operator-error";
import { projectFolder } from "./stack-file";

/**
 * `pulumi up` for whoever has no Pulumi account: finds the CLI, keeps the state in .pulumi-state and its passphrase in a
 * file only its owner can read, both unless configured otherwise, and creates the stack where it is missing.
 */
const program = new Command("npm run up --")
  .description("Bring the platform up by pulumi; without a Pulumi account the state is kept in .pulumi-state.")
  .argument("[stack]", "a stack that has a file Pulumi.<stack>.yaml", "dev")
  .argument("[options...]", "options of pulumi up, such as --yes")
  .allowUnknownOption()
  .passThroughOptions();

function main(): number {
  const [first, rest] = program.parse().processedArgs as [string, string[]];
  const [stack, options] = first.startsWith("-") ? ["dev", [first, ...rest]] : [first, rest];
  checkStack(stack);
  if (options[0] !== undefined && !options[0].startsWith("-")) {
    throw new OperatorError(`unexpected "${options[0]}": after the stack come options of pulumi up, such as --yes`);
  }
  checkEngine(stack);
  const env = { ...process.env, ...pathWithPulumi(), ...localState(stack) };
  const run = (args: readonly string[]) => {
    const { status, signal, error } = spawnSync("pulumi", args, { cwd: projectFolder, env, stdio: "inherit" });
    if (error) throw new OperatorError(`pulumi does not run: ${error.message}`);
    return signal === null ? (status ?? 1) : 130;
  };
  return run(["stack", "select", "--create", stack]) || run(["up", "--stack", stack, ...options]);
}

function checkStack(stack: string): void {
  if (/^[\w-]+$/.test(stack) && existsSync(join(projectFolder, `Pulumi.${stack}.yaml`))) return;
  const known = readdirSync(projectFolder).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
  throw new OperatorError(
    `unknown stack "${stack}": there are ${known.join(", ")}; a new one is a new file Pulumi.NAME.yaml`,
  );
}

/** Without an engine the provider's own message names neither the address nor the cure. */
function checkEngine(stack: string): void {
  const elsewhere = /^\s+docker:host:/m.test(readFileSync(join(projectFolder, `Pulumi.${stack}.yaml`), "utf8"));
  const { status, stderr, error } = spawnSync("docker", ["version", "--format", "{{.Server.Version}}"], {
    encoding: "utf8",
  });
  if (elsewhere || error || status === 0) return; // without a docker command there is nobody to ask
  throw new OperatorError(`no Docker engine answers: ${stderr.trim()} (start it, or set DOCKER_HOST to where it is)`);
}

/** PATH with the folder Pulumi's installer uses, where the CLI and its plugins may be. */
function pathWithPulumi(): NodeJS.ProcessEnv {
  const path = process.env["PATH"] ?? "";
  const folders = [...path.split(delimiter), join(homedir(), ".pulumi", "bin")];
  if (!folders.some((folder) => existsSync(join(folder, "pulumi")))) {
    throw new OperatorError(
      "pulumi is neither on PATH nor in ~/.pulumi/bin; install it with: curl -fsSL https://get.pulumi.com | sh",
    );
  }
  return { PATH: folders.join(delimiter) };
}

/** A state folder and passphrase of our own, unless the person has logged in somewhere or set another backend. */
function localState(stack: string): NodeJS.ProcessEnv {
  if (process.env["PULUMI_BACKEND_URL"] ?? process.env["PULUMI_ACCESS_TOKEN"] ?? loggedInTo()) return {};
  const folder = join(projectFolder, ".pulumi-state");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const backend = { PULUMI_BACKEND_URL: `file://${folder}` };
  if (process.env["PULUMI_CONFIG_PASSPHRASE"] ?? process.env["PULUMI_CONFIG_PASSPHRASE_FILE"]) return backend;

  const file = join(folder, "passphrase");
  if (!existsSync(file)) {
    const stackFile = `Pulumi.${stack}.yaml`;
    if (/^encryptionsalt:/m.test(readFileSync(join(projectFolder, stackFile), "utf8"))) {
      throw new OperatorError(
        `${stackFile} has the encryptionsalt of a passphrase that is not in ${file}: ` +
          "put that passphrase (and the state beside it) back, or remove the line for a stack of your own",
      );
    }
    writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600, flag: "wx" });
    process.stdout.write(
      `The state is kept in ${folder}, its passphrase in ${file}: back both up, apart from each other.\n`,
    );
  }
  return { ...backend, PULUMI_CONFIG_PASSPHRASE_FILE: file };
}

function loggedInTo(): string | undefined {
  const file = join(process.env["PULUMI_HOME"] ?? join(homedir(), ".pulumi"), "credentials.json");
  if (!existsSync(file)) return undefined;
  const { current } = JSON.parse(readFileSync(file, "utf8")) as { current?: string };
  return current === "" ? undefined : current;
}

// Ctrl-C is for pulumi, which then ends in its own time; this process stays until it has.
process.on("SIGINT", () => undefined);

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`${error instanceof OperatorError ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = 1;
}
