import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { remoteOf } from "../components/backup/settings-rules";
import { parseSettings, type Settings } from "../components/settings-rules";
import { isPrintable, printable, show } from "../services/printable";
import { OperatorError } from "./operator-error";

interface ProjectFile {
  readonly config: Readonly<Record<string, { readonly default?: unknown }>>;
}

/** The folder of the checkout. */
export const projectFolder = join(__dirname, "..");

/** What a stack's file says, read without Pulumi. */
export interface Stack {
  readonly name: string;
  readonly settings: Settings;
  /** Of the provider's configuration; undefined where the environment says which engine. */
  readonly dockerHost: string | undefined;
}

/**
 * The defaults of Pulumi.yaml and what Pulumi.<stack>.yaml says otherwise.
 * @param folder where both are @default the checkout
 * @throws OperatorError for a stack that has no file, or naming every value that cannot be used
 */
export function readStack(stack: string, folder = projectFolder): Stack {
  const file = `Pulumi.${stack}.yaml`;
  if (!isStackName(stack) || !existsSync(join(folder, file))) {
    const known = readdirSync(folder)
      .flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
      .filter(isStackName);
    throw new OperatorError(
      `unknown stack ${show(stack)}: there are ${known.join(", ")}; a new one is a new file Pulumi.NAME.yaml, ` +
        "NAME of letters, digits, _ and -",
    );
  }
  const project = readYaml(folder, "Pulumi.yaml") as unknown as ProjectFile;
  const overrides = readYaml(folder, file)["config"] ?? {};
  if (!isMap(overrides)) {
    throw new OperatorError(`${file}: config: expected a value for each key, got ${show(overrides)}`);
  }
  const prefix = "centraldb:";
  const given = Object.keys(overrides).filter((key) => key.startsWith(prefix));
  const settings = parseSettings(
    (key) => {
      const path = prefix + key;
      // Encrypted in the file, and nothing an operator's command needs.
      const override = key === "certificates" ? undefined : overrides[path];
      if (key === "backupCopyConfig" && isEncrypted(override)) return asEncrypted(overrides["centraldb:backupCopy"]);
      const value = override ?? project.config[path]?.default;
      return value === undefined ? undefined : typeof value === "string" ? value : JSON.stringify(value);
    },
    given.map((key) => key.slice(prefix.length)),
  );
  if ("length" in settings) {
    const lines = settings.map(({ path, message }) => `  ${path}: ${message}`);
    throw new OperatorError([`${file} cannot be used:`, ...lines].join("\n"));
  }
  const dockerHost = overrides["docker:host"] ?? undefined;
  if (dockerHost !== undefined && !(typeof dockerHost === "string" && isPrintable(dockerHost))) {
    throw new OperatorError(
      `${file}: docker:host: expected an address such as ssh://user@host, got ${show(dockerHost)}`,
    );
  }
  return { name: stack, settings, dockerHost };
}

/** It becomes part of a file's name and a word of commands, in which a dash begins an option. */
function isStackName(name: string): boolean {
  return /^\w[\w-]{0,99}$/.test(name);
}

/** As pulumi writes a secret. */
function isEncrypted(value: unknown): boolean {
  return isMap(value) && typeof value["secure"] === "string";
}

/** Stands for an rclone.conf that cannot be read here: whether the copy's remote is in it `up` sees. */
function asEncrypted(copy: unknown): string {
  return `[${remoteOf(typeof copy === "string" ? copy : "") ?? "encrypted"}]`;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a YAML file says; an empty one nothing. */
function readYaml(folder: string, file: string): Readonly<Record<string, unknown>> {
  const text = readFileSync(join(folder, file), "utf8");
  try {
    // An unknown tag is a warning of the parser's on standard error; the value is judged like any other.
    const content: unknown = parse(text, { logLevel: "error" }) ?? {};
    if (isMap(content)) return content;
    throw new OperatorError(`${file}: expected config: and settings below it, got ${show(content)}`);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    // Below its first line the parser shows the place.
    const [what = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new OperatorError(`${file} is no YAML: ${printable(what.replace(/:$/, "").slice(0, 200))}`);
  }
}

/** The settings of {@link readStack}. */
export function readStackSettings(stack: string): Settings {
  return readStack(stack).settings;
}
