import { isPrintable } from "./printable";
import { lifecycles, tiers, type Service } from "./service";

/** What the value of a field must be. */
export interface Field {
  readonly required: boolean;
  readonly expected: string;
  readonly check: (value: unknown) => boolean;
}

const isString = (value: unknown): value is string => typeof value === "string";
const isStrings = (value: unknown): boolean => Array.isArray(value) && Array.from<unknown>(value).every(isString);
const isCount = (value: unknown, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= max;

const isCountByTier = (value: unknown, max: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(([tier, count]) => tiers.some((known) => known === tier) && isCount(count, max));

const isBackupByStack = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(
    ([stack, backup]) => /^\w[\w-]{0,99}$/.test(stack) && isString(backup) && /^\d{8}T\d{6}Z-logical$/.test(backup),
  );

const maxRotation = 1e9;

/** `statement_timeout` is an integer of milliseconds: 24 days at most. */
const maxTimeoutSeconds = Math.floor(2 ** 31 / 1000);

/** `temp_file_limit` is an integer of KiB. */
const maxTempFileMiB = Math.floor(2 ** 31 / 1024) - 1;

/** Every field of a service literal, by name. */
export const fields: Readonly<Record<keyof Service, Field>> = {
  name: { required: true, expected: "a string", check: isString },
  code: { required: true, expected: "a string", check: isString },
  purpose: {
    required: true,
    expected: "one sentence on one line",
    check: (value) => isString(value) && /^\S.{0,199}$/.test(value) && isPrintable(value),
  },
  tables: { required: true, expected: "a list of strings", check: isStrings },
  connectionLimits: {
    required: false,
    expected: `whole numbers from 1 to 1000 for ${tiers.join(", ")}`,
    check: (value) => isCountByTier(value, 1000),
  },
  statementTimeoutSeconds: {
    required: false,
    expected: `a whole number of seconds from 1 to ${maxTimeoutSeconds}`,
    check: (value) => isCount(value, maxTimeoutSeconds),
  },
  tempFileLimitMiB: {
    required: false,
    expected: `a whole number of MiB from 1 to ${maxTempFileMiB}`,
    check: (value) => isCount(value, maxTempFileMiB),
  },
  reads: { required: false, expected: "a list of service names", check: isStrings },
  lifecycle: {
    required: false,
    expected: `one of ${lifecycles.map((lifecycle) => `"${lifecycle}"`).join(", ")}`,
    check: (value) => lifecycles.some((known) => known === value),
  },
  retiredBackups: {
    required: false,
    expected: 'a logical backup for each stack, like {"prod":"20261126T170000Z-logical"}',
    check: isBackupByStack,
  },
  rotation: {
    required: false,
    expected: `a whole number from 1 to ${maxRotation}, or one for some of ${tiers.join(", ")}`,
    check: (value) => isCount(value, maxRotation) || isCountByTier(value, maxRotation),
  },
};
