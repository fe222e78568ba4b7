import type { AccessMatrix, AccessRow, RoleRow } from "../../components/access/matrix";
import { everybody } from "../../components/access/plan-items";
import { loosened, parseSetting } from "./loosened";

/** One thing a role may do more, or less, than before. */
export interface AccessChange {
  readonly effect: "gives" | "takes";
  /** {@link everybody} for PUBLIC. */
  readonly role: string;
  /** Of either side; undefined for PUBLIC. */
  readonly of: RoleRow | undefined;
  /** What came or went: the whole role, the whole object, or no more than this. */
  readonly scope: "role" | "object" | "right";
  /** `table`, `schema`, … as {@link AccessRow.type}; of the role itself `attributes`, `connections`, `setting`. */
  readonly type: string;
  /** `gt.gt_raw_data`; of a setting its name; empty where the role itself is meant. */
  readonly name: string;
  /** Privileges, with `(grant option)` where there is one; or a value; of a new role all it is. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** What `head` lets the roles do otherwise than `base`: what is taken first, then what is given; each in `head`'s order. */
export function compareAccess(base: AccessMatrix, head: AccessMatrix): readonly AccessChange[] {
  const changes = [...compareRoles(base, head), ...compareRights(base, head), ...comparePublic(base, head)];
  const order = [...new Set([...head.roles, ...base.roles].map(({ role }) => role))];
  const place = ({ role }: AccessChange) => (order.includes(role) ? order.indexOf(role) : order.length);
  const inOrder = changes.toSorted((a, b) => place(a) - place(b));
  return [...inOrder.filter(({ effect }) => effect === "takes"), ...inOrder.filter(({ effect }) => effect === "gives")];
}

type Change = Pick<AccessChange, "type" | "name" | "before" | "after">;

/** One change for each direction: a right that came and one that went on the same object are two. */
function directed(
  role: string,
  base: AccessMatrix,
  head: AccessMatrix,
  change: Change,
  scope: AccessChange["scope"] = "right",
): AccessChange[] {
  const [before, after] = [base, head].map(({ roles }) => roles.find((row) => row.role === role));
  const common = {
    role,
    of: after ?? before,
    scope: role !== everybody && (before === undefined || after === undefined) ? ("role" as const) : scope,
    ...change,
  };
  const lacks = (some: readonly string[], others: readonly string[]) => some.some((one) => !others.includes(one));
  return [
    ...(lacks(change.before, change.after) ? [{ ...common, effect: "takes" as const }] : []),
    ...(lacks(change.after, change.before) ? [{ ...common, effect: "gives" as const }] : []),
  ];
}

function compareRoles(base: AccessMatrix, head: AccessMatrix): AccessChange[] {
  const names = [...new Set([...head.roles, ...base.roles].map(({ role }) => role))];
  return names.flatMap((role) => {
    const [before, after] = [base, head].map(({ roles }) => roles.find((row) => row.role === role));
    const attributes = { type: "attributes", name: "" };
    if (before === undefined || after === undefined) {
      return directed(role, base, head, { ...attributes, before: allOf(before), after: allOf(after) });
    }
    return [
      ...directed(role, base, head, { ...attributes, before: before.attributes, after: after.attributes }),
      ...compareValues(before, after).flatMap((change) => oneWay(role, base, head, change)),
    ];
  });
}

function allOf(row: RoleRow | undefined): readonly string[] {
  if (row === undefined) return [];
  const attributes = row.attributes.length === 0 ? ["NOLOGIN"] : row.attributes;
  return [...attributes, `connections: ${limitOf(row)}`, ...row.settings];
}

const limitOf = ({ connectionLimit }: RoleRow) => (connectionLimit === -1 ? "no limit" : String(connectionLimit));

function compareValues(before: RoleRow, after: RoleRow): (Change & { readonly gives: boolean })[] {
  const limit = ({ connectionLimit }: RoleRow) => (connectionLimit === -1 ? Infinity : connectionLimit);
  const settings = [before, after].map((row) => new Map(row.settings.map(parseSetting)));
  const [old = new Map<string, string>(), now = new Map<string, string>()] = settings;
  return [
    ...(limit(before) === limit(after)
      ? []
      : [
          {
            type: "connections",
            name: "",
            before: [limitOf(before)],
            after: [limitOf(after)],
            gives: limit(after) > limit(before),
          },
        ]),
    ...[...new Set([...old.keys(), ...now.keys()])]
      .sort()
      .filter((name) => old.get(name) !== now.get(name))
      .map((name) => ({
        type: "setting",
        name,
        before: [old.get(name) ?? "not set"],
        after: [now.get(name) ?? "not set"],
        gives: loosened(name, old.get(name), now.get(name)),
      })),
  ];
}

function oneWay(
  role: string,
  base: AccessMatrix,
  head: AccessMatrix,
  { gives, ...change }: Change & { readonly gives: boolean },
): AccessChange[] {
  const effect = gives ? "gives" : "takes";
  return directed(role, base, head, change)
    .slice(0, 1)
    .map((row) => ({ ...row, effect }));
}

type Key = Pick<AccessRow, "role" | "type" | "name">;

/**
 * What each role may do on each object, whoever gave it. What follows for new objects from a membership in pg_read_all_data
 * or pg_write_all_data is left out: the membership is compared itself.
 */
function rightsOf({ access }: AccessMatrix): Map<string, Key & { readonly privileges: Set<string> }> {
  const rights = new Map<string, Key & { readonly privileges: Set<string> }>();
  const rows = access.filter(({ source }) => source !== "taken" && !source.startsWith("member of "));
  for (const { role, type, name, source, privileges, grantable } of rows) {
    const key = JSON.stringify([role, type, name]);
    const found = rights.get(key) ?? { role, type, name, privileges: new Set() };
    // An owner may grant what it owns; that is said by its source alone.
    const option = grantable && source !== "owner" ? " (grant option)" : "";
    for (const privilege of privileges) found.privileges.add(`${privilege}${option}`);
    rights.set(key, found);
  }
  return rights;
}

function compareRights(base: AccessMatrix, head: AccessMatrix): AccessChange[] {
  const [before, after] = [rightsOf(base), rightsOf(head)];
  const objects = [base, head].map(({ access }) => new Set(access.map(({ type, name }) => `${type} ${name}`)));
  return [...new Map([...after, ...before])].flatMap(([key, { role, type, name }]) =>
    directed(
      role,
      base,
      head,
      {
        type,
        name,
        before: [...(before.get(key)?.privileges ?? [])],
        after: [...(after.get(key)?.privileges ?? [])],
      },
      objects.every((names) => names.has(`${type} ${name}`)) ? "right" : "object",
    ),
  );
}

/** What PostgreSQL gives to everybody by itself, and the platform takes: an object without such a row is open. */
function comparePublic(base: AccessMatrix, head: AccessMatrix): AccessChange[] {
  const taken = ({ access }: AccessMatrix) => access.filter(({ source }) => source === "taken");
  const lost = (matrix: AccessMatrix, { type, name }: Key) =>
    taken(matrix).find((row) => row.type === type && row.name === name)?.privileges;
  const rows = [...taken(head), ...taken(base), ...newOwners(base, head)];
  const objects = new Map(rows.map((row) => [`${row.type} ${row.name}`, row]));
  return [...objects.values()].flatMap(({ type, name }) => {
    const same = rows.filter((row) => row.type === type && row.name === name);
    const privileges = [...new Set(same.flatMap((row) => row.privileges))];
    const has = (matrix: AccessMatrix) => {
      const gone = lost(matrix, { role: everybody, type, name });
      // Nobody could create anything as a role that was not there.
      if (gone === undefined && type.startsWith("future ") && !matrix.roles.some(({ role }) => role === name))
        return [];
      return privileges.filter((privilege) => !gone?.includes(privilege));
    };
    return directed(everybody, base, head, { type, name, before: has(base), after: has(head) });
  });
}

/** Who creates objects in `head` and did not in `base`; PostgreSQL lets everybody run their routines. */
function newOwners(base: AccessMatrix, head: AccessMatrix): (Key & { readonly privileges: readonly string[] })[] {
  return head.roles
    .filter(({ role, tier }) => tier === "owner" && !base.roles.some((row) => row.role === role))
    .map(({ role }) => ({ role: everybody, type: "future routines", name: role, privileges: ["EXECUTE"] }));
}
