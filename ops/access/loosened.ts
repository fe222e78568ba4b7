/** `name=value` of a role; `appdb: name=value` of a role in one database. */
export function parseSetting(setting: string): readonly [name: string, value: string] {
  const at = setting.indexOf("=");
  return [setting.slice(0, at), setting.slice(at + 1)];
}

/** In ms and kB, as PostgreSQL reads them without a unit for these settings. */
const units: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 },
  ...{ kB: 1, MB: 1_024, GB: 1_048_576, TB: 1_073_741_824 },
};

/** Settings that hold a session back, by the value that holds nobody back. */
const limits: Readonly<Record<string, string>> = {
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0",
  lock_timeout: "0",
  temp_file_limit: "-1",
};

/** Whether a role with `after` is held back less than with `before`; undefined where the setting is the server's. */
export function loosened(name: string, before: string | undefined, after: string | undefined): boolean {
  const none = limits[name];
  if (none !== undefined) {
    const amount = (value = none) => (value === none ? Infinity : inUnits(value));
    return !(amount(after) <= amount(before));
  }
  if (name === "default_transaction_read_only") return after !== "on";
  // Whatever else is set: a reviewer looks at it as at something given.
  return true;
}

function inUnits(value: string): number {
  const [, amount = "", unit = ""] = /^(\d+)\s*([a-zA-Z]*)$/.exec(value) ?? [];
  return amount === "" ? NaN : Number(amount) * (unit === "" ? 1 : (units[unit] ?? NaN));
}
