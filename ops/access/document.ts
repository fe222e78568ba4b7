import { OperatorError } from "../operator-error";
import { tiers } from "../../services/service";
import type { AccessMatrix, AccessRow, RoleRow } from "../../components/access/matrix";

/** The matrix as text that a diff shows row by row; another form gets another number. */
const format = 1;

/** Where it is committed. */
export const accessFile = "services/access.json";

/** access.json: a role or a right in each line. */
export function formatDocument({ roles, access }: AccessMatrix): string {
  const lines = (rows: readonly object[]) => rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  return `{\n  "format": ${format},\n  "roles": [\n${lines(roles)}\n  ],\n  "access": [\n${lines(access)}\n  ]\n}\n`;
}

/**
 * @param where what is read, for the message: `services/access.json at main`
 * @throws OperatorError where it is not such a document
 */
export function parseDocument(text: string, where: string): AccessMatrix {
  const wrong = (what: string) => new OperatorError(`${where}: ${what}; npm run access writes it`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw wrong(`not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isObject(document) || document["format"] !== format) throw wrong(`"format" must be ${format}`);
  const { roles, access } = document;
  if (!Array.isArray(roles) || !roles.every(isRole)) throw wrong('"roles" is not a list of roles');
  if (!Array.isArray(access) || !access.every(isAccess)) throw wrong('"access" is not a list of rights');
  return { roles, access };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isRole(value: unknown): value is RoleRow {
  return (
    isObject(value) &&
    isText(value["role"]) &&
    (value["service"] === null || isText(value["service"])) &&
    (value["tier"] === null || tiers.some((tier) => tier === value["tier"])) &&
    isTexts(value["attributes"]) &&
    typeof value["connectionLimit"] === "number" &&
    isTexts(value["settings"])
  );
}

function isAccess(value: unknown): value is AccessRow {
  return (
    isObject(value) &&
    ["role", "type", "name", "source"].every((key) => isText(value[key])) &&
    isTexts(value["privileges"]) &&
    typeof value["grantable"] === "boolean"
  );
}
