import { describeDefaultPrivileges, describeGrant, identifier } from "../../components/access/describe";
import { everybody } from "../../components/access/plan-items";
import { objectTypes, type ObjectType, type Privilege } from "../../components/access/privileges";
import { roleType, schemaType } from "../../components/lifecycle/state";
import { shown, shownList, type Inputs, type ResourceChange } from "./read-preview";

export const grantType = "postgresql:index/grant:Grant";
export const defaultPrivilegesType = "postgresql:index/defaultPrivileges:DefaultPrivileges";
export const commandType = "command:local:Command";

/** Statements that came and went, each in the order in which it stands there. */
export interface LineChange {
  readonly sign: "-" | "+";
  readonly line: string;
}

/** What a change does to roles, schemas and rights, as the SQL a DBA would write; empty for a resource that is about neither. */
export function accessChange({ type, before, after }: ResourceChange): readonly LineChange[] {
  const describe = statements[type];
  return describe === undefined ? [] : compareLines(describe(before), describe(after));
}

/** The lines only one of two texts has. What stands in both in another order is no change: each is a statement for itself. */
export function compareLines(before: readonly string[], after: readonly string[]): readonly LineChange[] {
  return [
    ...without(before, after).map((line) => ({ sign: "-" as const, line })),
    ...without(after, before).map((line) => ({ sign: "+" as const, line })),
  ];
}

function without(some: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others];
  return some.filter((line) => {
    const place = left.indexOf(line);
    if (place >= 0) left.splice(place, 1);
    return place < 0;
  });
}

/** By type of resource: its inputs as statements. An input that may not be shown makes none. */
const statements: Readonly<Record<string, (inputs: Inputs) => readonly string[]>> = {
  [grantType]: (inputs) => {
    const [to, schema, type] = [inputs["role"], inputs["schema"], inputs["objectType"]].map(shown);
    const privileges = privilegesOf(inputs);
    if (to === undefined || schema === undefined || privileges.length === 0) return [];
    const on = isObjectType(type) ? { type, schema } : { type: "schema" as const, schema };
    return [`GRANT ${describeGrant({ privileges, on, to: granteeOf(to), carrier: "provider" })}`];
  },
  [defaultPrivilegesType]: (inputs) => {
    const [owner, to, schema, objectType] = [
      inputs["owner"],
      inputs["role"],
      inputs["schema"],
      inputs["objectType"],
    ].map(shown);
    if (owner === undefined || to === undefined || !isObjectType(objectType)) return [];
    const given = privilegesOf(inputs);
    // The provider's word for a built-in default taken away is an empty list.
    const [action, privileges] =
      given.length > 0 ? (["GRANT", given] as const) : (["REVOKE", ["EXECUTE"] as Privilege[]] as const);
    const item = { action, owner, schema: schema ?? null, objectType, privileges, to: granteeOf(to) };
    return [`ALTER DEFAULT PRIVILEGES ${describeDefaultPrivileges({ ...item, carrier: "provider" })}`];
  },
  [roleType]: (inputs) => {
    const name = shown(inputs["name"]);
    if (name === undefined) return [];
    const alter = (clause: string) => `ALTER ROLE ${identifier(name)} ${clause}`;
    const flags = Object.entries(roleFlags).map(([input, word]) => [shown(inputs[input]), word] as const);
    const settings = Object.entries(roleSettings).map(([input, word]) => [shown(inputs[input]), word] as const);
    const path = shownList(inputs["searchPaths"]) ?? [];
    const members = shownList(inputs["roles"]) ?? [];
    return [
      `CREATE ROLE ${identifier(name)}`,
      ...flags.flatMap(([value, word]) => (value === undefined ? [] : [alter(value === "true" ? word : `NO${word}`)])),
      ...settings.flatMap(([value, word]) => (value === undefined ? [] : [alter(`${word} ${value}`)])),
      ...(path.length > 0 ? [alter(`SET search_path = ${path.map(identifier).join(", ")}`)] : []),
      ...members.map((group) => `GRANT ${identifier(group)} TO ${identifier(name)}`),
    ];
  },
  [schemaType]: (inputs) => {
    const [name, owner] = [inputs["name"], inputs["owner"]].map(shown);
    if (name === undefined) return [];
    return [`CREATE SCHEMA ${identifier(name)}${owner === undefined ? "" : ` AUTHORIZATION ${identifier(owner)}`}`];
  },
  // The platform's SQL: statements of one line are about rights and settings, the longer ones make the guard.
  [commandType]: (inputs) => sqlLines(inputs).filter((line) => /^(GRANT|REVOKE|ALTER|CREATE|DROP) .*;$/.test(line)),
};

/** The lines of a job's standard input, where that is SQL and may be shown; of a secret one none. */
export function sqlLines(inputs: Inputs): readonly string[] {
  const text = shown(inputs["stdin"]);
  return text?.startsWith("BEGIN;") ? text.split("\n") : [];
}

const roleFlags: Readonly<Record<string, string>> = {
  superuser: "SUPERUSER",
  createDatabase: "CREATEDB",
  createRole: "CREATEROLE",
  login: "LOGIN",
};

const roleSettings: Readonly<Record<string, string>> = {
  connectionLimit: "CONNECTION LIMIT",
  statementTimeout: "SET statement_timeout =",
  idleInTransactionSessionTimeout: "SET idle_in_transaction_session_timeout =",
};

function privilegesOf(inputs: Inputs): readonly Privilege[] {
  return (shownList(inputs["privileges"]) ?? []) as readonly Privilege[];
}

function granteeOf(role: string): string {
  return role === "public" ? everybody : role;
}

function isObjectType(type: string | undefined): type is ObjectType {
  return objectTypes.some((known) => known === type);
}
