import * as postgresql from "@pulumi/postgresql";
import type * as pulumi from "@pulumi/pulumi";
import { everybody } from "./plan-items";
import type { SchemaItem } from "./schema-items";

/**
 * Declares grants and default privileges of one schema, each depending on the one before: two that run at the same
 * time update the same catalog row and fail with "tuple concurrently updated" (pulumi-postgresql#831).
 * Returns the chain with the new links at its end.
 */
export function declareSchemaItems(
  name: string,
  database: string,
  items: readonly SchemaItem[],
  chain: readonly pulumi.Resource[],
  opts: pulumi.CustomResourceOptions,
): readonly pulumi.Resource[] {
  return items.reduce((links: readonly pulumi.Resource[], item) => {
    const dependsOn = [...(links === chain ? chain : links.slice(-1))];
    return [...links, declare(`${name}-${item.key}`, database, item, { ...opts, dependsOn })];
  }, chain);
}

/** A replacement has the same key in the catalog: created first and deleted then, nothing would be left. */
const deleteFirst = { deleteBeforeReplace: true } as const;

function declare(
  name: string,
  database: string,
  item: SchemaItem,
  opts: pulumi.CustomResourceOptions,
): pulumi.CustomResource {
  if ("grant" in item) {
    const { on, to, privileges } = item.grant;
    if (!("schema" in on)) throw new TypeError(`${name} is not a grant on a schema`);
    return new postgresql.Grant(
      name,
      { database, role: to, schema: on.schema, objectType: on.type, privileges: [...privileges] },
      { ...opts, ...deleteFirst },
    );
  }
  const { action, owner, schema, objectType, privileges, to } = item.defaultPrivileges;
  return new postgresql.DefaultPrivileges(
    name,
    {
      database,
      owner,
      role: to === everybody ? "public" : to,
      ...(schema === null ? {} : { schema }),
      objectType,
      // The provider's word for a built-in default taken away is an empty list.
      privileges: action === "GRANT" ? [...privileges] : [],
    },
    { ...opts, ...deleteFirst },
  );
}
