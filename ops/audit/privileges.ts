import type { ClientBase } from "pg";
import { grantee, identifier } from "../../components/access/describe";
import { platformSchema, type Plan, type Target } from "../../components/access/plan-items";
import type { ObjectType } from "../../components/access/privileges";
import { keptSchema } from "../../components/access/set-aside";
import type { Finding } from "./finding";
import { rowsOf } from "./rows";
import { sqlFile } from "./sql-file";

type State = "missing" | "extra" | "grantable";

interface PrivilegeRow {
  readonly role: string;
  readonly schema: string;
  readonly owner: string;
  readonly privilege: string;
  readonly type: string;
  readonly name: string;
  readonly state: State;
  /** `SELECT ON TABLE gt.gt_raw_data` */
  readonly clause: string;
  /** Roles that granted it on and own nothing of it. */
  readonly grantors: readonly string[];
}

const found: Readonly<Record<State, readonly [expected: string, found: string]>> = {
  missing: ["allowed", "denied"],
  extra: ["denied", "allowed"],
  grantable: ["allowed", "allowed, and may be granted on"],
};

/**
 * Who may do what on every object there is: by its acl, so that what nobody declared is seen too.
 * @param schemas those of services to look into; "" stands for all that is in none of them
 */
export async function auditPrivileges(
  plan: Plan,
  superuser: ClientBase,
  schemas: readonly string[],
): Promise<readonly Finding[]> {
  const planned = plan.grants.flatMap(({ privileges, on, to }) =>
    privileges.map((privilege) => ({ ...named(on), grantee: to, privilege })),
  );
  const taken = plan.revokes.flatMap(({ privileges, on }) =>
    privileges.map((privilege) => ({
      ...(on.type === "every database" ? { type: "database", name: "*" } : named(on)),
      privilege,
    })),
  );
  const rows = await rowsOf<PrivilegeRow>(superuser, sqlFile("../access/objects") + sqlFile("privileges"), [
    JSON.stringify(planned),
    JSON.stringify(taken),
    plan.services.map(({ code }) => code),
    platformSchema,
    schemas,
    keptSchema,
  ]);
  return rows.map(({ role, schema, owner, privilege, type, name, state, clause, grantors }) => ({
    kind: state === "grantable" ? "grant option" : "privilege",
    ...{ role, schema, owner },
    what: `${privilege} on ${type} ${name}`,
    expected: found[state][0],
    found: found[state][1],
    fix: repair(state, clause, role, grantors),
  }));
}

function repair(state: State, clause: string, role: string, grantors: readonly string[]): readonly string[] {
  if (state === "missing") return [`GRANT ${clause} TO ${grantee(role)}`];
  if (state === "grantable") return [`REVOKE GRANT OPTION FOR ${clause} FROM ${grantee(role)} CASCADE`];
  return [
    // A superuser revokes as the owner: what another one has granted goes only with that one's right to do so.
    ...grantors.map((grantor) => `REVOKE GRANT OPTION FOR ${clause} FROM ${grantee(grantor)} CASCADE`),
    `REVOKE ${clause} FROM ${grantee(role)} CASCADE`,
  ];
}

/** As objects.sql names it; what is granted on all of a schema is named by the schema. */
function named(on: Target): { readonly type: string; readonly name: string } {
  switch (on.type) {
    case "database":
      return { type: "database", name: identifier(on.database) };
    case "schema":
      return { type: "schema", name: identifier(on.schema) };
    case "function":
      return { type: "function", name: `pg_catalog.${on.signature}` };
    case "view":
      return { type: "view", name: `pg_catalog.${on.view}` };
    case "language":
      return { type: "language", name: identifier(on.language) };
    default:
      return { type: on.type, name: on.schema };
  }
}

const letters: Readonly<Record<ObjectType, string>> = { table: "r", sequence: "S", routine: "f" };

/** What owners grant on what they will create. */
export async function auditDefaultPrivileges(plan: Plan, superuser: ClientBase): Promise<readonly Finding[]> {
  const planned = plan.defaultPrivileges.flatMap(({ action, owner, schema, objectType, privileges, to }) =>
    (action === "GRANT" ? privileges : []).map((privilege) => ({
      owner,
      schema: schema ?? "",
      type: letters[objectType],
      grantee: to,
      privilege,
    })),
  );
  const rows = await rowsOf<{
    readonly owner: string;
    readonly schema: string;
    readonly role: string;
    readonly privilege: string;
    readonly objects: string;
    readonly state: State;
  }>(superuser, sqlFile("default-privileges"), [JSON.stringify(planned)]);
  return rows.map(({ owner, schema, role, privilege, objects, state }) => {
    const where = `ALTER DEFAULT PRIVILEGES FOR ROLE ${identifier(owner)}${schema === "" ? "" : ` IN SCHEMA ${identifier(schema)}`}`;
    const [action, preposition] =
      state === "missing" ? ["GRANT", "TO"] : [state === "extra" ? "REVOKE" : "REVOKE GRANT OPTION FOR", "FROM"];
    return {
      kind: "default privilege",
      ...{ role, owner },
      what: `${privilege} on future ${objects.toLowerCase()} of ${owner}${schema === "" ? "" : ` in schema ${schema}`}`,
      expected: found[state][0],
      found: found[state][1],
      fix: [
        `${where} ${action} ${privilege} ON ${objects} ${preposition} ${grantee(role)}${state === "missing" ? "" : " CASCADE"}`,
      ],
    };
  });
}
