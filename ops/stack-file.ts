import { readFileSync } from "node:fs";
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

/**
 * A stack's settings without Pulumi: the defaults of Pulumi.yaml and what Pulumi.<stack>.yaml says otherwise.
 * @throws OperatorError naming every value that cannot be used
 */
export function readStackSettings(stack: string): Settings {
  const project = parse(readFileSync(join(projectFolder, "Pulumi.yaml"), "utf8")) as ProjectFile;
  const overrides = (parse(readFileSync(join(projectFolder, `Pulumi.${stack}.yaml`), "utf8")) as StackFile | null)
    ?.config;
  const given = Object.keys(overrides ?? {}).flatMap((key) => /^centraldb:(.*)$/.exec(key)?.[1] ?? []);
  const settings = parseSettings((key) => {
    const path = `centraldb:${key}`;
    const value = overrides?.[path] ?? project.config[path]?.default;
    return value === undefined ? undefined : typeof value === "string" ? value : JSON.stringify(value);
  }, given);
  if (!("length" in settings)) return settings;
  const lines = settings.map(({ path, message }) => `  ${path}: ${message}`);
  throw new OperatorError([`Pulumi.${stack}.yaml cannot be used:`, ...lines].join("\n"));
}
