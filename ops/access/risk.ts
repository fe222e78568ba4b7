import { everybody, platformRole } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import type { AccessChange } from "./changes";

export type Risk = "high" | "medium" | "low";

export interface Assessment {
  readonly risk: Risk;
  /** Why, the gravest first; at least one. */
  readonly reasons: readonly string[];
}

interface Rule {
  readonly risk: Risk;
  readonly reason: string;
  applies(facts: Facts): boolean;
}

/** A change, and what the rules ask about it. */
interface Facts extends AccessChange {
  /** What `after` has and `before` has not. */
  readonly gained: readonly string[];
  /** The object is of a service, and the role is another's. */
  readonly isForeign: boolean;
  /** The object is in pg_catalog: what everybody had and the platform took. */
  readonly isTaken: boolean;
}

const writes = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "CREATE"];
const writesAny = (privileges: readonly string[]) =>
  privileges.some((privilege) => writes.some((write) => privilege.startsWith(write)));
const dangerous = ["SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"];
const isRight = ({ type }: AccessChange) => !["attributes", "connections", "setting"].includes(type);

/** What a database administrator looks for. Every rule that applies is told; the gravest decides. */
const given: readonly Rule[] = [
  { risk: "high", reason: "PUBLIC: every role has it", applies: ({ role }) => role === everybody },
  {
    risk: "high",
    reason: "the role can get past every grant",
    applies: ({ type, gained }) => type === "attributes" && gained.some((word) => dangerous.includes(word)),
  },
  {
    risk: "high",
    reason: "write to another service gained",
    applies: ({ isForeign, gained }) => isForeign && writesAny(gained),
  },
  {
    risk: "high",
    reason: "cross-service read: trust in both directions, its views run with the reader's rights",
    applies: ({ isForeign, gained }) => isForeign && !writesAny(gained),
  },
  {
    risk: "high",
    reason: "may be granted on, past services/registry.ts",
    applies: ({ gained }) => gained.some((privilege) => privilege.endsWith("(grant option)") || privilege === "ADMIN"),
  },
  {
    risk: "high",
    reason: "membership: every right of that role, now and later",
    applies: ({ type, role }) => type === "role" && role !== everybody,
  },
  {
    risk: "high",
    reason: "a role of the platform, not of a service",
    // It owns every service's schema.
    applies: (change) =>
      isRight(change) && change.of?.service === null && !(change.role === platformRole && change.scope === "object"),
  },
  {
    risk: "high",
    reason: "write gained by a tier that only reads",
    applies: ({ of, isForeign, gained }) => of?.tier === "user" && !isForeign && writesAny(gained),
  },
  {
    risk: "high",
    reason: "a foreign schema on the path: its owner's code runs as the role",
    applies: ({ type, name, of, after }) =>
      type === "setting" &&
      name.endsWith("search_path") &&
      !(of !== undefined && after[0] === `${schemaOfRole(of) ?? ""}, extensions`),
  },
  {
    risk: "medium",
    reason: "new login",
    applies: ({ type, gained }) => type === "attributes" && gained.includes("LOGIN"),
  },
  {
    risk: "medium",
    reason: "write gained",
    applies: ({ of, isForeign, scope, gained }) =>
      !isForeign && scope === "right" && of?.service !== null && of?.tier !== "user" && writesAny(gained),
  },
  {
    risk: "medium",
    reason: "a function, view or language that PUBLIC lost for a reason: see services/ACCESS.md",
    applies: ({ isTaken, scope }) => isTaken && scope === "right",
  },
  { risk: "medium", reason: "limit raised", applies: ({ type }) => type === "connections" },
  {
    risk: "medium",
    reason: "limit raised",
    applies: ({ type, name, after }) =>
      type === "setting" && name.endsWith("temp_file_limit") && after[0] !== "not set",
  },
  {
    risk: "medium",
    reason: "limit removed",
    applies: ({ type, name, after }) =>
      type === "setting" && name.endsWith("temp_file_limit") && after[0] === "not set",
  },
  {
    risk: "medium",
    reason: "timeout removed",
    applies: ({ type, name, after }) =>
      type === "setting" && name.endsWith("_timeout") && ["not set", "0"].includes(after[0] ?? ""),
  },
  {
    risk: "low",
    reason: "timeout raised",
    applies: ({ type, name, after }) =>
      type === "setting" && name.endsWith("_timeout") && !["not set", "0"].includes(after[0] ?? ""),
  },
  {
    risk: "medium",
    reason: "setting of the role changed",
    applies: ({ type, name }) => type === "setting" && !/(_timeout|temp_file_limit|search_path)$/.test(name),
  },
];

const taken: readonly Rule[] = [
  {
    risk: "medium",
    reason: "nobody can log in as it any more",
    applies: ({ type, before, after }) => type === "attributes" && before.includes("LOGIN") && !after.includes("LOGIN"),
  },
  {
    risk: "low",
    reason: "whoever relies on it gets an error",
    applies: (change) => isRight(change) && change.scope === "right",
  },
  {
    risk: "low",
    reason: "goes with its role",
    applies: (change) => isRight(change) && change.scope === "role",
  },
  {
    risk: "low",
    reason: "goes with the object",
    applies: (change) => isRight(change) && change.scope === "object",
  },
  { risk: "low", reason: "held back sooner", applies: ({ type }) => ["connections", "setting"].includes(type) },
];

const asEveryService: Assessment = { risk: "low", reasons: ["as every service"] };

/** How much a change wants to be looked at, and why. `schemas`: those of services. */
export function assess(change: AccessChange, schemas: ReadonlySet<string>): Assessment {
  const schema = schemaOfObject(change);
  const facts: Facts = {
    ...change,
    gained: change.after.filter((privilege) => !change.before.includes(privilege)),
    isForeign:
      isRight(change) &&
      change.of !== undefined &&
      change.of.service !== null &&
      schema !== undefined &&
      schemas.has(schema) &&
      schema !== schemaOfRole(change.of),
    isTaken: schema === "pg_catalog" || change.type === "language",
  };
  const applying = (change.effect === "gives" ? given : taken).filter((rule) => rule.applies(facts));
  const risk = (["high", "medium", "low"] as const).find((level) => applying.some((rule) => rule.risk === level));
  if (risk === undefined) return asEveryService;
  return { risk, reasons: applying.map(({ reason }) => reason) };
}

/** The schemas of services: what their owners' roles are named after. */
export function serviceSchemas(roles: readonly NonNullable<AccessChange["of"]>[]): ReadonlySet<string> {
  return new Set(roles.flatMap((role) => schemaOfRole(role) ?? []));
}

function schemaOfRole(of: AccessChange["of"]): string | undefined {
  if (of === undefined || of.tier === null) return undefined;
  return of.role.slice(0, -tierRole("", of.tier).length);
}

function schemaOfObject({ type, name }: AccessChange): string | undefined {
  if (["database", "language", "role", "parameter", "large object", "tablespace"].includes(type)) return undefined;
  const [, where] = name.split(" in schema ");
  return where ?? name.split(".")[0];
}
