import type { ClientBase } from "pg";
import { keptSchema } from "../../components/access/set-aside";
import type { DumpedTable } from "./dump-contents";

/** What belongs to a table beside its rows, most by number. */
export interface TableParts {
  /** Sum of their names and types, in their order: COPY's text has none. */
  readonly columns: string;
  readonly constraints: number;
  readonly indexes: number;
  readonly triggers: number;
}

/** Of a relation c in the schema n. What a restore has kept of a service is in the backups of its time. */
export const isDumped = `c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '${keptSchema}'`;

/**
 * What is in a dump; the parts of a partitioned table are tables themselves.
 * @param schemas @default all
 */
export async function tablesOf(
  client: ClientBase,
  schemas: readonly string[] | null = null,
): Promise<readonly (DumpedTable & TableParts)[]> {
  const { rows } = await client.query<DumpedTable & TableParts>(
    `SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner, format('%I.%I', n.nspname, c.relname) AS quoted,
            -- Where its rows may be in the dump: of a hash by an enum pg_dump loads a partition by way of its root.
            coalesce((SELECT format('%I.%I', rn.nspname, r.relname) FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                       WHERE r.oid = pg_partition_root(c.oid)), format('%I.%I', n.nspname, c.relname)) AS root,
            (SELECT md5(coalesce(string_agg(format('%I %I.%I %s', a.attname, tn.nspname, t.typname, a.atttypmod), ',' ORDER BY a.attnum), ''))
               FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
            (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid)::int AS constraints,
            -- pg_dump leaves out what is not valid.
            (SELECT count(*) FROM pg_index WHERE indrelid = c.oid AND indisvalid)::int AS indexes,
            (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)::int AS triggers
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND ${isDumped}
        AND ($1::text[] IS NULL OR n.nspname = ANY ($1))
        -- Of an extension's own tables pg_dump writes those it declares as configuration.
        AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                           AND d.refclassid = 'pg_extension'::regclass AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')))
      ORDER BY 1, 2`,
    [schemas],
  );
  return rows;
}

/** A sequence as the catalog of the dump's own snapshot has it. */
export interface DumpedSequence {
  readonly schema: string;
  /** As SQL names it. */
  readonly quoted: string;
}

/** Of which a dump has the value; of an extension's it has none. */
export async function sequencesOf(client: ClientBase): Promise<readonly DumpedSequence[]> {
  const { rows } = await client.query<DumpedSequence>(
    `SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS quoted
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S' AND ${isDumped}
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY 1, 2`,
  );
  return rows;
}

/** What a schema has beside tables and sequences, by number; of a view its definition is in a dump, not its rows. */
export interface SchemaObjects {
  readonly functions: number;
  readonly types: number;
  readonly views: number;
}

/** By schema; without what an extension has made. */
export async function objectsOf(
  client: ClientBase,
  schemas: readonly string[],
): Promise<Readonly<Record<string, SchemaObjects>>> {
  const { rows } = await client.query<SchemaObjects & { schema: string }>(
    `SELECT n.nspname AS schema,
            (SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid AND oid <> ALL (e.members))::int AS functions,
            (SELECT count(*) FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
              WHERE t.typnamespace = n.oid AND t.oid <> ALL (e.members) AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c'))::int AS types,
            (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid AND oid <> ALL (e.members) AND relkind IN ('v', 'm'))::int AS views
       FROM pg_namespace n
      CROSS JOIN (SELECT coalesce(array_agg(objid), '{}') FROM pg_depend WHERE deptype = 'e') AS e(members)
      WHERE n.nspname = ANY ($1)`,
    [schemas],
  );
  return Object.fromEntries(rows.map(({ schema, ...objects }) => [schema, objects]));
}
