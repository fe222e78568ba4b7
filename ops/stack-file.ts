import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseSettings, type Settings } from "../components/settings-rules";
import { OperatorError } from "./operator-error";

interface ProjectFile {
  readonly config: Readonly<Record<string, { readonly default?: unknown }>>;
}

interface StackFile {
  readonly config?: Readonly<Record<string, unknown>>;
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
 * @throws OperatorError for a stack that has no file, or naming every value that cannot be used
 */
export function readStack(stack: string): Stack {
  const file = `Pulumi.${stack}.yaml`;
  if (!/^[\w-]+$/.test(stack) || !existsSync(join(projectFolder, file))) {
    const known = readdirSync(projectFolder).flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? []);
    throw new OperatorError(
      `unknown stack "${stack}": there are ${known.join(", ")}; a new one is a new file Pulumi.NAME.yaml`,
    );
  }
  const project = parse(readFileSync(join(projectFolder, "Pulumi.yaml"), "utf8")) as ProjectFile;
  const overrides = (parse(readFileSync(join(projectFolder, file), "utf8")) as StackFile | null)?.config;
  const given = Object.keys(overrides ?? {}).flatMap((key) => /^centraldb:(.*)$/.exec(key)?.[1] ?? []);
  const settings = parseSettings((key) => {
    const path = `centraldb:${key}`;
    // Encrypted in the file, and nothing an operator's command needs.
    const override = key === "certificates" ? undefined : overrides?.[path];
    const value = override ?? project.config[path]?.default;
    return value === undefined ? undefined : typeof value === "string" ? value : JSON.stringify(value);
  }, given);
  if ("length" in settings) {
    const lines = settings.map(({ path, message }) => `  ${path}: ${message}`);
    throw new OperatorError([`${file} cannot be used:`, ...lines].join("\n"));
  }
  const dockerHost = overrides?.["docker:host"];
  return { name: stack, settings, dockerHost: typeof dockerHost === "string" ? dockerHost : undefined };
}

/** The settings of {@link readStack}. */
export function readStackSettings(stack: string): Settings {
  return readStack(stack).settings;
}
