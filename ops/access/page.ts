import { describeSource, type AccessMatrix, type AccessRow, type RoleRow } from "../../components/access/matrix";
import { everybody, type Plan } from "../../components/access/plan-items";
import { revokedFunctions } from "../../components/access/privileges";
import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { cell, code, markdownTable } from "../markdown";

/** ACCESS.md: the matrix for people. */
export function formatPage(plan: Plan, matrix: AccessMatrix): string {
  return [
    "# Who may do what",
    "",
    "Written by `npm run access`: the plan of `services/registry.ts` on a PostgreSQL 16 of its own, where every owner has made its " +
      "example tables, and what its catalogs say then. Do not edit. Machines read `access.json`.",
    "",
    ...plan.services.flatMap((service) => [...formatService(service, matrix), ""]),
    ...formatRetired(plan),
    "## One service reads another",
    "",
    ...formatReads(plan, matrix),
    "",
    "## The platform's own roles",
    "",
    ...formatRoles(
      plan.roles.filter(({ of }) => of === null).map(({ name }) => name),
      matrix,
    ),
    "",
    "## What everybody lost",
    "",
    "PostgreSQL gives these to every role by itself; here nobody has them but who is named.",
    "",
    ...formatTaken(plan, matrix),
    "",
  ].join("\n");
}

function formatService(service: ResolvedService, matrix: AccessMatrix): string[] {
  const roles = tiers.map((tier) => tierRole(service.code, tier));
  const frozen = service.lifecycle === "frozen" ? " It is frozen: none of its roles may log in." : "";
  return [
    `## ${service.name} (${code(service.code)})`,
    "",
    `${cell(service.purpose)}${frozen}`,
    "",
    ...formatRoles(roles, matrix, service.code),
  ];
}

function formatRetired({ retired }: Plan): string[] {
  if (retired.length === 0) return [];
  const rows = retired.map((service) => [
    service.name,
    code(service.code),
    Object.entries(service.retiredBackups)
      .map(([stack, backup]) => `${stack}: ${code(backup)}`)
      .join(", "),
  ]);
  return [
    "## Retired",
    "",
    "They have no roles and no schema. Name and code stay reserved while their lines are there.",
    "",
    markdownTable([["service", "code", "backup of"], ...rows]),
    "",
  ];
}

/** Their attributes, then their rights; of services only those of their own schema and of what all share. */
function formatRoles(names: readonly string[], { roles, access }: AccessMatrix, schema?: string): string[] {
  const found = names.flatMap((name) => roles.filter(({ role }) => role === name));
  const rights = names.flatMap((name) =>
    access.filter(
      (row) => row.role === name && row.type !== "function" && (schema === undefined || !isForeign(row, schema)),
    ),
  );
  return [
    markdownTable([
      ["role", "is", "connections", "settings"],
      ...found.map((role) => [code(role.role), attributes(role), limit(role), role.settings.map(code).join(", ")]),
    ]),
    "",
    rightsTable(rights),
  ];
}

function rightsTable(rows: readonly AccessRow[]): string {
  return markdownTable([
    ["role", "on", "may", "from"],
    ...rows.map((row) => [code(row.role), `${row.type} ${code(row.name)}`, privileges(row), code(describeSource(row))]),
  ]);
}

const attributes = ({ attributes: has }: RoleRow) => (has.length === 0 ? "NOLOGIN" : has.join(", "));
const limit = ({ connectionLimit }: RoleRow) => (connectionLimit === -1 ? "no limit" : String(connectionLimit));
const privileges = (row: AccessRow) => row.privileges.join(", ") + (row.grantable ? " **with grant option**" : "");

/** What is in another service's schema. */
function isForeign({ type, name }: AccessRow, schema: string): boolean {
  if (["database", "language", "role"].includes(type) || name === "extensions") return false;
  const [, where] = name.split(" in schema ");
  return (where ?? name.split(".")[0]) !== schema;
}

function formatReads({ services }: Plan, { access }: AccessMatrix): string[] {
  const rows = services.flatMap(({ code: own }) =>
    tiers.flatMap((tier) => {
      const role = tierRole(own, tier);
      return access.filter((row) => row.role === role && row.type !== "function" && isForeign(row, own));
    }),
  );
  if (rows.length === 0) return ["None does."];
  return [rightsTable(rows)];
}

function formatTaken(plan: Plan, { access }: AccessMatrix): string[] {
  const taken = access.filter(({ role, source }) => role === everybody && source === "taken");
  const kept = (row: AccessRow) =>
    keepers(
      plan,
      access.filter((other) => other.role !== everybody && other.type === row.type && other.name === row.name),
    );
  const why = (row: AccessRow) =>
    revokedFunctions.find(({ functions }) => functions.some((signature) => `pg_catalog.${signature}` === row.name))
      ?.why ?? "";
  return [
    markdownTable([
      ["on", "right", "kept by", "what somebody could do with it"],
      ...taken.map((row) => [`${row.type} ${code(row.name)}`, row.privileges.join(", "), kept(row), cell(why(row))]),
    ]),
  ];
}

/** `every owner, gtapp`: a tier is named as one where all of it have the right. */
function keepers({ roles }: Plan, rows: readonly AccessRow[]): string {
  const having = new Set(rows.map(({ role }) => role));
  const words = tiers.flatMap((tier) => {
    const all = roles.filter(({ of }) => of?.tier === tier).map(({ name }) => name);
    const some = all.filter((name) => having.has(name));
    if (some.length === all.length) return [`every ${tier}`];
    const without = all.filter((name) => !having.has(name));
    return without.length < some.length ? [`every ${tier} but ${without.map(code).join(", ")}`] : some.map(code);
  });
  const others = roles.filter(({ of, name }) => of === null && having.has(name)).map(({ name }) => code(name));
  return [...words, ...others].join(", ") || "nobody";
}
