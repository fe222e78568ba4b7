import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { dumpRole, extensionsSchema, type PlannedGrant, type PlannedRevoke, type Target } from "./plan-items";
import { revokedFunctions, revokedLanguages, revokedViews, type Keeper, type Privilege } from "./privileges";

/** What everybody (PUBLIC) has in a new PostgreSQL and loses here. */
export function publicRevokes(): PlannedRevoke[] {
  return [
    { privileges: ["CONNECT", "TEMPORARY"], on: { type: "every database" }, carrier: "foundation" },
    { privileges: ["USAGE", "CREATE"], on: { type: "schema", schema: "public" }, carrier: "foundation" },
    ...revokedFunctions.flatMap(({ functions }) =>
      functions.map((signature) => ({
        privileges: ["EXECUTE" as const],
        on: { type: "function" as const, signature },
        carrier: "foundation" as const,
      })),
    ),
    ...revokedViews.map((view) => ({
      privileges: ["SELECT" as const],
      on: { type: "view" as const, view },
      carrier: "foundation" as const,
    })),
    // Whoever may update it may lock it, exclusively, and everybody's client, dump and `status` asks it. SET does the same.
    { privileges: ["UPDATE"], on: { type: "view", view: "pg_settings" }, carrier: "foundation" },
    ...revokedLanguages.map((language) => ({
      privileges: ["USAGE" as const],
      on: { type: "language" as const, language },
      carrier: "foundation" as const,
    })),
  ];
}

/** What PUBLIC lost and the tiers need: the database and the extensions for all, for owners also what migrations use. */
export function tierGrants({ code, reads }: ResolvedService, database: string): PlannedGrant[] {
  const grant = (privilege: Privilege, on: Target, to: string): PlannedGrant => ({
    privileges: [privilege],
    on,
    to,
    carrier: "tiers",
  });
  const owner = tierRole(code, "owner");
  return [
    ...tiers.flatMap((tier) => [
      grant("CONNECT", { type: "database", database }, tierRole(code, tier)),
      grant("USAGE", { type: "schema", schema: extensionsSchema }, tierRole(code, tier)),
    ]),
    ...keptFunctions("owners", owner),
    ...keptFunctions("apps", tierRole(code, "app")),
    ...(reads.length === 0 ? (["app", "user"] as const) : []).flatMap((tier) =>
      keptFunctions("non-readers", tierRole(code, tier)),
    ),
    ...revokedLanguages.map((language) => grant("USAGE", { type: "language", language }, owner)),
  ];
}

/** What the dump role needs of what PUBLIC lost. */
export function dumpGrants(database: string): PlannedGrant[] {
  return [
    { privileges: ["CONNECT"], on: { type: "database", database }, to: dumpRole, carrier: "tiers" },
    ...keptFunctions("dump", dumpRole),
  ];
}

/** What `to` gets back of the functions taken from PUBLIC. */
function keptFunctions(keeper: Keeper, to: string): PlannedGrant[] {
  return revokedFunctions
    .filter(({ keptBy = [] }) => keptBy.includes(keeper))
    .flatMap(({ functions }) =>
      functions.map((signature) => ({
        privileges: ["EXECUTE" as const],
        on: { type: "function" as const, signature },
        to,
        carrier: "tiers" as const,
      })),
    );
}
