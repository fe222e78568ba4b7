import type { ClientBase } from "pg";
import { identifier } from "../../components/access/describe";
import { extensionsSchema, platformRole, platformSchema, type Plan } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import type { Finding } from "./finding";
import { rowsOf } from "./rows";
import { sqlFile } from "./sql-file";

interface ObjectRow {
  readonly kind: string;
  /** As ALTER names it: TABLE, FUNCTION, … */
  readonly type: string;
  readonly schema: string;
  readonly target: string;
  /** Without its schema, or what a setting says. */
  readonly name: string;
  readonly owner: string;
}

type Told = Pick<Finding, "role" | "expected" | "found" | "fix"> & Pick<Finding, "destroys" | "byHand">;

const databasesOfPostgres = ["postgres", "template0", "template1"];

/**
 * What is in the database and should not be, or not so: owners, prefixes, places, and what hides or runs as somebody else.
 * @param schemas those of services to look into; "" stands for all that is in none of them
 */
export async function auditObjects(
  plan: Plan,
  superuser: ClientBase,
  schemas: readonly string[],
): Promise<readonly Finding[]> {
  const rows = await rowsOf<ObjectRow>(superuser, sqlFile("objects"), [
    plan.services.map(({ code }) => code),
    [platformSchema, extensionsSchema],
    plan.extensions.map(({ name }) => name),
    [plan.database, ...databasesOfPostgres],
    schemas,
  ]);
  return rows.map((row) => ({
    kind: row.kind,
    what: `${row.type.toLowerCase()} ${row.target}`,
    schema: row.schema,
    ...(kinds[row.kind] ?? unknown)(row, plan),
  }));
}

const settingName = (setting: string) => setting.slice(0, setting.indexOf("="));

/** What each kind of objects.sql means, and what repairs it. */
const kinds: Readonly<Record<string, (row: ObjectRow, plan: Plan) => Told>> = {
  prefix: ({ type, schema, target, name, owner }) => ({
    role: owner,
    expected: `the prefix ${schema}_`,
    found: "none",
    fix: [`ALTER ${type} ${target} RENAME TO ${identifier(`${schema}_${name}`)}`],
  }),
  "prefix taken": ({ schema, name, owner }) => ({
    role: owner,
    expected: `the prefix ${schema}_`,
    found: "none",
    fix: [],
    byHand: `${schema}_${name} is there already: its owner renames one of them.`,
  }),
  owner: ({ type, schema, target, owner }) => ({
    role: owner,
    expected: `owner ${tierRole(schema, "owner")}`,
    found: owner,
    fix: [`ALTER ${type} ${target} OWNER TO ${identifier(tierRole(schema, "owner"))}`],
  }),
  public: ({ type, schema, target, name, owner }, { services }) => {
    const service = services.find(({ code }) => tierRole(code, "owner") === owner);
    const told = { role: owner, expected: "in a service's schema", found: `in schema ${schema}` };
    if (service === undefined) {
      return { ...told, fix: [], byHand: "nobody's: move it into the schema of its service, or drop it" };
    }
    const prefixed = name === "" || name.startsWith(`${service.code}_`) ? name : `${service.code}_${name}`;
    const renamed = prefixed === name ? target : `${identifier(schema)}.${identifier(prefixed)}`;
    return {
      ...told,
      fix: [
        ...(prefixed === name ? [] : [`ALTER ${type} ${target} RENAME TO ${identifier(prefixed)}`]),
        `ALTER ${type} ${renamed} SET SCHEMA ${identifier(service.code)}`,
      ],
    };
  },
  "row security": ({ target, owner }) => ({
    role: owner,
    expected: "every row for whoever may read it",
    found: "row level security",
    fix: [`ALTER TABLE ${target} DISABLE ROW LEVEL SECURITY`],
  }),
  "security definer": ({ type, schema, target, owner }) => ({
    role: owner,
    expected: "SECURITY INVOKER, or a search_path of its own",
    found: "SECURITY DEFINER with its caller's",
    fix: [`ALTER ${type} ${target} SET search_path = ${identifier(schema)}, ${extensionsSchema}, pg_temp`],
  }),
  "large object": ({ target, owner }) => ({
    role: owner,
    expected: "none: one breaks the dump",
    found: "there",
    fix: [`SELECT pg_catalog.lo_unlink(${target})`],
    destroys: true,
  }),
  "schema owner": ({ target, owner }) => ({
    role: owner,
    expected: `owner ${platformRole}`,
    found: owner,
    fix: [`ALTER SCHEMA ${target} OWNER TO ${platformRole}`],
  }),
  "undeclared schema": ({ target, owner }) => ({
    role: owner,
    expected: "no such schema",
    found: "there",
    // Without CASCADE: where something is in it, nothing is dropped.
    fix: [`DROP SCHEMA ${target}`],
    destroys: true,
  }),
  "missing schema": () => ({
    role: platformRole,
    expected: "there",
    found: "no such schema",
    fix: [],
    byHand: "npm run up (or npm start) makes it, with its rights",
  }),
  "undeclared extension": ({ target, owner }) => ({
    role: owner,
    expected: "none",
    found: "there",
    fix: [`DROP EXTENSION ${target}`],
    destroys: true,
  }),
  "missing extension": ({ target }, { extensions }) => ({
    role: "",
    expected: "there",
    found: "none",
    fix: [
      `CREATE EXTENSION ${target} SCHEMA ${extensions.find(({ name }) => identifier(name) === target)?.schema ?? extensionsSchema}`,
    ],
  }),
  "undeclared database": ({ target, owner }) => ({
    role: owner,
    expected: "no such database",
    found: "there",
    fix: [],
    byHand: `not in a transaction: DROP DATABASE ${target}, after a look into it`,
  }),
  "database setting": ({ target, name }) => ({
    role: "",
    expected: "the server's settings",
    found: name,
    fix: [`ALTER DATABASE ${target} RESET ${identifier(settingName(name))}`],
  }),
  "server setting for all": ({ name }) => ({
    role: "",
    expected: "the server's settings",
    found: name,
    fix: [`ALTER ROLE ALL RESET ${identifier(settingName(name))}`],
  }),
};

const unknown = ({ kind }: ObjectRow): never => {
  throw new Error(`objects.sql has a kind objects.ts does not know: ${kind}`);
};
