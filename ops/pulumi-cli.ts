import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { OperatorError } from "./operator-error";
import { projectFolder } from "./stack-file";

const stateFolder = join(projectFolder, ".pulumi-state");
const passphraseFile = join(stateFolder, "passphrase");

/**
 * The environment in which pulumi finds its CLI, plugins and state: a state folder and passphrase of our own, unless the
 * person has logged in somewhere or set another backend.
 * @throws OperatorError where pulumi is not installed
 */
export function pulumiEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ...pathWithPulumi(), ...localState() };
}

/** An output of a stack, secrets included. */
export function stackOutput(stack: string, name: string): unknown {
  const output = stackOutputs(stack)[name];
  if (output !== undefined) return output;
  throw new OperatorError(`stack ${stack} has no output ${name}: ${cure(stack)}`);
}

/** All outputs of a stack, secrets included. */
export function stackOutputs(stack: string): Readonly<Record<string, unknown>> {
  const args = ["stack", "output", "--json", "--show-secrets", "--stack", stack, "--non-interactive"];
  const { status, stdout, stderr } = spawnSync("pulumi", args, {
    cwd: projectFolder,
    env: pulumiEnvironment(),
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) {
    throw new OperatorError(
      `stack ${stack} has no outputs: ${stderr.trim().split("\n").at(-1) ?? ""} (${cure(stack)})`,
    );
  }
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}

const cure = (stack: string) => `npm run up -- ${stack} makes them; --sandbox asks npm start's database`;

/** Makes the folder and passphrase of a state of our own, where it is to be used and is not there yet. */
export function prepareLocalState(stack: string): void {
  if (localState()["PULUMI_CONFIG_PASSPHRASE_FILE"] !== passphraseFile || existsSync(passphraseFile)) return;
  const stackFile = `Pulumi.${stack}.yaml`;
  const hasSalt = /^encryptionsalt:/m.test(readFileSync(join(projectFolder, stackFile), "utf8"));
  if (hasSalt || existsSync(join(stateFolder, ".pulumi"))) {
    throw new OperatorError(
      `${passphraseFile} is missing, and what is encrypted with it is not: put the passphrase back (and the state beside it). ` +
        `Where it is lost: mv ${stateFolder} ${stateFolder}.lost, remove the line encryptionsalt from ${stackFile}, and ` +
        `npm run up -- ${stack} --adopt takes over the data there are`,
    );
  }
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  writeFileSync(passphraseFile, randomBytes(32).toString("base64url"), { mode: 0o600, flag: "wx" });
  process.stdout.write(
    `The state is kept in ${stateFolder}, its passphrase in ${passphraseFile}: back both up, apart from each other.\n`,
  );
}

/** Whether pulumi would have to ask for the passphrase, which it does on a terminal only. */
export function lacksPassphrase(env: NodeJS.ProcessEnv): boolean {
  const { PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: file } = env;
  return passphrase === undefined && (file === undefined || (file === passphraseFile && !existsSync(file)));
}

/** The environment with a passphrase that somebody has typed. */
export function withPassphrase(env: NodeJS.ProcessEnv, passphrase: string): NodeJS.ProcessEnv {
  return { ...env, PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: undefined };
}

/** Makes the folder of a state of our own, where it is to be used; pulumi does not. */
export function prepareStateFolder(env: NodeJS.ProcessEnv): void {
  if (env["PULUMI_BACKEND_URL"] === pathToFileURL(stateFolder).href)
    mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
}

/**
 * Keeps a passphrase that was typed beside a state of our own, where every later command finds it.
 * @returns the file; undefined where the state is elsewhere
 */
export function keepPassphrase(env: NodeJS.ProcessEnv, passphrase: string): string | undefined {
  if (env["PULUMI_CONFIG_PASSPHRASE_FILE"] !== passphraseFile) return undefined;
  writeFileSync(passphraseFile, passphrase, { mode: 0o600, flag: "wx" });
  return passphraseFile;
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

/** Who has exported the folder of our own, as the README says, means the same as who has exported nothing. */
function localState(): NodeJS.ProcessEnv {
  const {
    PULUMI_BACKEND_URL: url,
    PULUMI_CONFIG_PASSPHRASE: passphrase,
    PULUMI_CONFIG_PASSPHRASE_FILE: file,
  } = process.env;
  // A checkout's name may have what would end the path of a URL, or be decoded in it: `#`, `?`, `%`.
  const own = pathToFileURL(stateFolder).href;
  const isOwn = url === own || url === `file://${stateFolder}`;
  if (!isOwn && (url ?? process.env["PULUMI_ACCESS_TOKEN"] ?? loggedInTo())) return {};
  const backend = { PULUMI_BACKEND_URL: own };
  if (passphrase ?? (file === passphraseFile ? undefined : file)) return backend;
  return { ...backend, PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile };
}

function loggedInTo(): string | undefined {
  const file = join(process.env["PULUMI_HOME"] ?? join(homedir(), ".pulumi"), "credentials.json");
  if (!existsSync(file)) return undefined;
  const { current } = JSON.parse(readFileSync(file, "utf8")) as { current?: string };
  return current === "" ? undefined : current;
}
