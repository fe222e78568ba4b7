import { isIPv4 } from "node:net";
import { didYouMean } from "../services/did-you-mean";

/** Everything a stack can choose, read once. Keys, descriptions and defaults are in Pulumi.yaml. */
export interface Settings {
  readonly protect: boolean;
  readonly namePrefix: string;
  readonly image: string;
  readonly bindAddress: string;
  readonly primaryPort: number;
  readonly maxConnections: number;
  readonly extensions: readonly string[];
}

/** The database all services share. */
export const database = "appdb";

/** One setting that cannot be used: `centraldb:primaryPort: expected …, got …`. */
export interface SettingProblem {
  readonly path: string;
  readonly message: string;
}

interface Rule<T> {
  readonly expected: string;
  /** The value, or undefined when the text is none. */
  readonly parse: (text: string) => T | undefined;
}

const wholeNumber = (min: number, max: number): Rule<number> => ({
  expected: `a whole number from ${min} to ${max}`,
  parse: (text) => (/^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
});

const textLike = (pattern: RegExp, expected: string): Rule<string> => ({
  expected,
  parse: (text) => (pattern.test(text) ? text : undefined),
});

const rules: { readonly [Key in keyof Settings]: Rule<Settings[Key]> } = {
  protect: {
    expected: "true or false",
    parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
  },
  namePrefix: textLike(/^[a-z][a-z0-9-]{0,30}$/, "1 to 31 lower-case letters, digits and dashes, a letter first"),
  image: textLike(/^[\w][\w./:@-]{0,254}$/, "an image reference such as postgres:16.14-bookworm"),
  bindAddress: {
    expected: "an IPv4 address such as 127.0.0.1",
    parse: (text) => (isIPv4(text) ? text : undefined),
  },
  primaryPort: wholeNumber(1, 65535),
  maxConnections: wholeNumber(25, 10_000),
  extensions: {
    expected: "a list of extension names",
    parse: (text) => {
      const names = parseJson(text);
      const isName = (name: unknown): name is string =>
        typeof name === "string" && /^[a-z][a-z0-9_-]{0,62}$/.test(name);
      return Array.isArray(names) && names.every(isName) ? names : undefined;
    },
  },
};

/**
 * Reads every setting from `get`, which returns a value's text (lists as JSON) or undefined where there is none.
 * `given` are the keys somebody has set, for the typing errors among them. Returns the settings, or every problem at once.
 */
export function parseSettings(
  get: (key: keyof Settings) => string | undefined,
  given: readonly string[],
): Settings | readonly SettingProblem[] {
  const parsed: Record<string, unknown> = {};
  const known = Object.keys(rules);
  const problems: SettingProblem[] = given
    .filter((key) => !known.includes(key))
    .map((key) => ({
      path: `centraldb:${key}`,
      message: `unknown setting; known are ${known.join(", ")}${didYouMean(key, known)}`,
    }));
  for (const [key, rule] of Object.entries(rules)) {
    const text = get(key as keyof Settings);
    parsed[key] = text === undefined ? undefined : rule.parse(text);
    if (parsed[key] === undefined) {
      const got = text === undefined ? "nothing" : JSON.stringify(text.slice(0, 80));
      problems.push({
        path: `centraldb:${key}`,
        message: `expected ${rule.expected}, got ${got}; see its description in Pulumi.yaml`,
      });
    }
  }
  return problems.length > 0 ? problems : (parsed as unknown as Settings);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
