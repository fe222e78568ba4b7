import { describeDefaultPrivileges, describeGrant, identifier } from "../../components/access/describe";
import { everybody } from "../../components/access/plan-items";
import { objectTypes, type ObjectType, type Privilege } from "../../components/access/privileges";
import { roleType, schemaType } from "../../components/lifecycle/state";
import { groupBy } from "../group-by";
import { shown, shownList, type Inputs, type ResourceChange } from "./read-preview";

export const grantType = "postgresql:index/grant:Grant";
export const defaultPrivilegesType = "postgresql:index/defaultPrivileges:DefaultPrivileges";
export const commandType = "command:local:Command";

/** A line of text that came or went. */
export interface LineChange {
  readonly sign: "-" | "+";
  readonly line: string;
}

/** What a change does to roles, schemas and rights, as the SQL a DBA would write; empty for a resource that is about neither. */
export function accessChange({ type, operation, before, after }: ResourceChange): readonly LineChange[] {
  const describe = statements[type];
  if (describe === undefined) return [];
  // What is there at once needs no ALTER.
  if (operation === "create" && type === roleType) return compareLines([], newRole(after));
  return compareLines(describe(before), describe(after));
}

/** The lines only one of two texts has. What stands in both in another order is no change: each is a statement for itself. */
export function compareLines(before: readonly string[], after: readonly string[]): readonly LineChange[] {
  return [
    ...without(before, after).map((line) => ({ sign: "-" as const, line })),
    ...without(after, before).map((line) => ({ sign: "+" as const, line })),
  ];
}

function without(some: readonly string[], others: readonly string[]): readonly string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return some.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}

/** So many functions are named; services/ACCESS.md has them all. */
const namedFunctions = 3;
const onFunction = /^(GRANT|REVOKE) EXECUTE ON FUNCTION (\S.*\)) (TO|FROM) (.+)$/;

/** The same with one line for what a role may call. */
export function mergeFunctions(changes: readonly LineChange[]): readonly LineChange[] {
  const groups = groupBy(changes, ({ sign, line }) => {
    const [, verb, , , role] = onFunction.exec(line) ?? [];
    return verb === undefined ? `${sign}${line}` : JSON.stringify([sign, verb, role]);
  });
  return groups.flatMap((alike) => {
    const names = alike.flatMap(({ line }) => onFunction.exec(line)?.[2] ?? []);
    const [first] = alike;
    if (first === undefined || names.length <= namedFunctions + 1) return alike;
    const some = `${names.slice(0, namedFunctions).join(", ")} and ${names.length - namedFunctions} more`;
    return [{ ...first, line: first.line.replace(onFunction, `$1 EXECUTE ON FUNCTIONS ${some} $3 $4`) }];
  });
}

/** By type of resource: its inputs as statements. An input that may not be shown makes none. */
const statements: Readonly<Record<string, (inputs: Inputs) => readonly string[]>> = {
  [grantType]: (inputs) => {
    const [to, schema, type] = [inputs["role"], inputs["schema"], inputs["objectType"]].map(shown);
    const privileges = shownList(inputs["privileges"]) as readonly Privilege[];
    if (to === undefined || schema === undefined || privileges.length === 0) return [];
    const on = isObjectType(type) ? { type, schema } : { type: "schema" as const, schema };
    return [`GRANT ${describeGrant({ privileges, on, to: granteeOf(to), carrier: "provider" })}`];
  },
  [defaultPrivilegesType]: (inputs) => {
    const names = [inputs["owner"], inputs["role"], inputs["schema"], inputs["objectType"]];
    const [owner, to, schema, objectType] = names.map(shown);
    if (owner === undefined || to === undefined || !isObjectType(objectType)) return [];
    const given = shownList(inputs["privileges"]) as readonly Privilege[];
    // The provider's word for a built-in default taken away is an empty list.
    const item =
      given.length > 0
        ? { action: "GRANT" as const, privileges: given }
        : { action: "REVOKE" as const, privileges: ["EXECUTE" as const] };
    const where = { owner, schema: schema ?? null, objectType, to: granteeOf(to), carrier: "provider" as const };
    return [`ALTER DEFAULT PRIVILEGES ${describeDefaultPrivileges({ ...item, ...where })}`];
  },
  [roleType]: (inputs) => {
    const [name, attributes, settings] = roleParts(inputs);
    const alter = (clause: string) => `ALTER ROLE ${name} ${clause}`;
    return name === undefined ? [] : [`CREATE ROLE ${name}`, ...attributes.map(alter), ...settings.map(alter)];
  },
  [schemaType]: (inputs) => {
    const [name, owner] = [inputs["name"], inputs["owner"]].map(shown);
    if (name === undefined) return [];
    return [`CREATE SCHEMA ${identifier(name)}${owner === undefined ? "" : ` AUTHORIZATION ${identifier(owner)}`}`];
  },
  // The platform's SQL: statements of one line are about rights and settings, the longer ones make the guard.
  [commandType]: (inputs) =>
    sqlLines(inputs).flatMap((line) => /^((?:GRANT|REVOKE|ALTER|CREATE(?! TEMP)|DROP) .*);$/.exec(line)?.[1] ?? []),
};

/** The lines of a job's standard input, where that is SQL and may be shown. */
export function sqlLines(inputs: Inputs): readonly string[] {
  const text = shown(inputs["stdin"]);
  return text?.startsWith("BEGIN;") ? text.split("\n") : [];
}

function newRole(inputs: Inputs): readonly string[] {
  const [name, attributes, settings] = roleParts(inputs);
  if (name === undefined) return [];
  return [
    [`CREATE ROLE ${name}`, ...attributes].join(" "),
    ...settings.map((setting) => `ALTER ROLE ${name} ${setting}`),
  ];
}

/** What a role is by default is not said, but for LOGIN, which nobody should have to guess. */
function roleParts(inputs: Inputs): [name: string | undefined, attributes: string[], settings: string[]] {
  const name = shown(inputs["name"]);
  const has = (input: string, word: string) => (inputs[input] === true ? [word] : []);
  const set = (input: string, words: string) => {
    const value = shown(inputs[input]);
    return value === undefined ? [] : [`${words} ${value}`];
  };
  const path = shownList(inputs["searchPaths"]).map(identifier).join(", ");
  return [
    name === undefined ? undefined : identifier(name),
    [
      ...has("superuser", "SUPERUSER"),
      ...has("createDatabase", "CREATEDB"),
      ...has("createRole", "CREATEROLE"),
      inputs["login"] === true ? "LOGIN" : "NOLOGIN",
      ...set("connectionLimit", "CONNECTION LIMIT"),
      ...shownList(inputs["roles"]).map((group) => `IN ROLE ${identifier(group)}`),
    ],
    [
      ...(path === "" ? [] : [`SET search_path = ${path}`]),
      ...set("statementTimeout", "SET statement_timeout ="),
      ...set("idleInTransactionSessionTimeout", "SET idle_in_transaction_session_timeout ="),
    ],
  ];
}

function granteeOf(role: string): string {
  return role === "public" ? everybody : role;
}

function isObjectType(type: string | undefined): type is ObjectType {
  return objectTypes.some((known) => known === type);
}
