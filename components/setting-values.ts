import { platformSettings } from "./cluster/configuration/restart-settings";
import { isPrintable, show } from "../services/printable";

/** Extensions whose functions everybody may call, and one service could use against the others. */
const refusedExtensions: Readonly<Record<string, string>> = {
  dblink: "it connects from the server to wherever a service wants",
  lo: "its large objects break pg_dump by a role that is not superuser",
  pg_prewarm: "it reads whatever relation it is given by name: inside a view as whoever reads it",
  pgrowlocks: "it tells the locks on whatever table it is given by name: inside a view as whoever reads it",
  tablefunc: "crosstab and connectby run a query given as text: inside a view as whoever reads it",
  xml2: "xpath_table runs a query given as text: inside a view as whoever reads it",
};

/** An image reference; it cannot be an option of docker. */
export function isImage(text: string): boolean {
  return /^\w[\w./:@-]{0,254}$/.test(text);
}

/** The major version a tag begins with: 17 in `registry:5000/postgres:17.2-bookworm`. */
export function majorOf(image: string): number | undefined {
  const major = /:(\d{1,2})(?=[.-]|$)[^/]*$/.exec(image.replace(/@.*$/, ""))?.[1];
  return major === undefined ? undefined : Number(major);
}

/** What is wrong with a list of extensions beyond its shape, in words that end a sentence; "" where nothing is. */
export function whyExtensionsAreNone(text: string): string {
  const names = parseJson(text);
  const refused = Object.entries(refusedExtensions).find(([name]) => Array.isArray(names) && names.includes(name));
  return refused === undefined ? "" : ` without ${refused.join(" (")})`;
}

/** What is wrong with the first setting that cannot be used, in words that end a sentence; "" where none is. */
export function whySettingsAreNone(text: string): string {
  const settings = parseJson(text);
  if (!isRecord(settings)) return "";
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$/i.test(name)) {
      return ` (${show(name)} is no setting's name)`;
    }
    const owner = Object.entries(platformSettings).find(([known]) => known === name.toLowerCase())?.[1];
    if (owner !== undefined) return ` (not ${name}, which the platform sets: ${owner})`;
    // One line of at most 1,000 printable characters: the file is read line by line.
    const isValue = ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
    if (!isValue || asConfText(value).length > 1000 || !isPrintable(asConfText(value))) {
      return ` (the value of ${name} is none)`;
    }
  }
  return "";
}

/** A value as postgresql.conf spells it. */
export function asConfText(value: unknown): string {
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** undefined where the text is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A host name in lower case, without a wildcard. */
export function isDnsName(text: string): boolean {
  const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
  return text.length <= 253 && text.split(".").every((part) => label.test(part));
}

/** As the runtime knows it, which also the agent asks. */
export function isTimeZone(text: string): boolean {
  try {
    return (
      new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "" && /^[A-Za-z]/.test(text)
    );
  } catch {
    return false;
  }
}
