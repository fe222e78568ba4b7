import { isGranted } from "../../components/access/expectation";
import { everybody, type Plan, type PlannedGrant } from "../../components/access/plan-items";
import { services } from "../../services/registry";
import { tierRole } from "../../services/service";
import { testPlan } from "./server";
import {
  describeDefaultPrivileges,
  describeGrant,
  describeRevoke,
  describeRoleSetting,
} from "../../components/access/describe";

/** Two services that read each other and one that reads nobody: every kind of item is in their plan. */
export const mutatedPlan = testPlan([
  ...services.slice(0, 1).map((service) => ({ ...service, reads: ["aggregator"] })),
  ...services.slice(1, 2).map((service) => ({ ...service, reads: ["gatherer"] })),
  ...services.slice(2, 3),
]);

/** A plan that is wrong in one place. */
export interface Mutant {
  /** What was done to the plan, e.g. `without SELECT ON ALL TABLES IN SCHEMA gt TO gtuser`. */
  readonly name: string;
  /** Mutants of one kind go the same way through the code. */
  readonly kind: string;
  readonly plan: Plan;
  /** How a finding must begin: with the role that has too much or too little, where it is one. */
  readonly concerns: string;
  /** It shows only on a server that never saw the right plan: no plan undoes the platform's rights in pg_catalog. */
  readonly needsNewServer: boolean;
}

/** Every plan that lacks one item, and for every role one that has a right too many. */
export function mutants(plan: Plan): readonly Mutant[] {
  const without = <K extends "revokes" | "grants" | "defaultPrivileges" | "roleSettings">(
    key: K,
    describe: (item: Plan[K][number]) => string,
  ) =>
    plan[key].map((item, index) => ({
      name: `without ${describe(item)}`,
      kind: `${key} ${kindOf(item)}`,
      needsNewServer:
        item.carrier === "foundation" || ("on" in item && ["function", "language"].includes(item.on.type)),
      concerns: "role" in item ? `${item.role}: ` : "to" in item && item.to !== everybody ? `${item.to}: ` : "",
      plan: { ...plan, [key]: plan[key].filter((_, other) => other !== index) },
    }));
  return [
    // Without the REVOKE on schema public the plan says the same: what it does not grant on a schema is revoked anyway.
    ...without("revokes", describeRevoke).filter(({ kind }) => kind !== "revokes schema"),
    ...without("grants", describeGrant),
    ...without("defaultPrivileges", describeDefaultPrivileges),
    ...without("roleSettings", describeRoleSetting),
    ...forbidden(plan).map((grant) => ({
      name: `with ${describeGrant(grant)}`,
      kind: `forbidden ${grant.privileges.join()} ${kindOf(grant)}`,
      needsNewServer: false,
      concerns: grant.to === everybody ? "" : `${grant.to}: `,
      plan: { ...plan, grants: [...plan.grants, grant] },
    })),
  ];
}

function forbidden(plan: Plan): PlannedGrant[] {
  return plan.services.flatMap(({ code }, index) => {
    const other = plan.services.at(index - 1)?.code ?? code;
    const grant = (
      privilege: PlannedGrant["privileges"][number],
      on: PlannedGrant["on"],
      to: string,
    ): PlannedGrant => ({
      privileges: [privilege],
      on,
      to,
      carrier: "provider",
    });
    return [
      grant("INSERT", { type: "table", schema: code }, tierRole(code, "user")),
      grant("USAGE", { type: "sequence", schema: code }, tierRole(code, "user")),
      grant("EXECUTE", { type: "routine", schema: code }, tierRole(code, "user")),
      grant("CREATE", { type: "schema", schema: code }, tierRole(code, "app")),
      grant("USAGE", { type: "schema", schema: code }, tierRole(other, "app")),
      grant("SELECT", { type: "table", schema: code }, everybody),
      grant("CREATE", { type: "schema", schema: "public" }, tierRole(code, "owner")),
      grant("EXECUTE", { type: "function", signature: "pg_advisory_lock(bigint)" }, tierRole(code, "app")),
      grant("TEMPORARY", { type: "database", database: plan.database }, tierRole(code, "app")),
    ].filter(({ privileges, on, to }) => privileges.every((privilege) => !isGranted(plan, to, privilege, on)));
  });
}

function kindOf(item: object): string {
  const { on, objectType, schema, setting } = item as {
    on?: { type: string };
    objectType?: string;
    schema?: string | null;
    setting?: string;
  };
  return on?.type ?? setting ?? `${objectType ?? ""}${schema === null ? " everywhere" : ""}`;
}
