import { tierRole, tiers } from "../../services/service";
import { everybody, type Plan, type PlannedDefaultPrivileges, type PlannedGrant } from "./plan-items";

/** A grant or default privilege of one schema, with the name its resource bears after the service's. */
export type SchemaItem = { readonly key: string; readonly to: string } & (
  { readonly grant: PlannedGrant } | { readonly defaultPrivileges: PlannedDefaultPrivileges }
);

/** What the provider carries for one schema, in plan order. */
export interface SchemaItems {
  /** For the service's own roles. */
  readonly own: readonly SchemaItem[];
  /** For roles of services that read it. */
  readonly reads: readonly SchemaItem[];
}

/** Sorts out what concerns the schema `code`. Keys come from the data, so that one item more renames no other. */
export function schemaItems(plan: Plan, code: string): SchemaItems {
  const ownRoles: readonly string[] = tiers.map((tier) => tierRole(code, tier));
  const items = [
    ...plan.defaultPrivileges
      .filter(({ owner, carrier }) => owner === tierRole(code, "owner") && carrier === "provider")
      .map((item) => ({
        to: item.to,
        key: `${item.to.toLowerCase()}-future-${item.objectType}s`,
        defaultPrivileges: item,
      })),
    ...plan.grants.flatMap((grant) =>
      "schema" in grant.on && grant.on.schema === code && grant.carrier === "provider"
        ? [{ to: grant.to, key: `${grant.to}-${grant.on.type}${grant.on.type === "schema" ? "" : "s"}`, grant }]
        : [],
    ),
  ];
  const isOwn = (to: string) => to === everybody || ownRoles.includes(to);
  return { own: items.filter(({ to }) => isOwn(to)), reads: items.filter(({ to }) => !isOwn(to)) };
}
