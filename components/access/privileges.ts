import type { Tier } from "../../services/service";

/** What a planned privilege is about, in PostgreSQL's words. */
export type ObjectType = "table" | "sequence" | "routine";

/** Object types of a schema in the order their privileges are planned. */
export const objectTypes = ["table", "sequence", "routine"] as const satisfies readonly ObjectType[];

/** Privileges are listed one by one, never ALL: ALL means something else in every version. */
export type Privilege =
  "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "USAGE" | "CREATE" | "EXECUTE" | "CONNECT" | "TEMPORARY";

interface TierPrivileges extends Readonly<Record<ObjectType, readonly Privilege[]>> {
  readonly schema: readonly Privilege[];
}

/**
 * What each tier may do in its own schema. The owner's rights on what it creates are its ownership, not a grant.
 * Source: the operations page, "3-Tier 권한 시스템" (DDL, DML, SELECT).
 */
export const tierPrivileges = {
  owner: { schema: ["USAGE", "CREATE"], table: [], sequence: [], routine: [] },
  app: {
    schema: ["USAGE"],
    table: ["SELECT", "INSERT", "UPDATE", "DELETE"],
    sequence: ["USAGE", "SELECT"],
    routine: ["EXECUTE"],
  },
  user: { schema: ["USAGE"], table: ["SELECT"], sequence: ["SELECT"], routine: [] },
} as const satisfies Readonly<Record<Tier, TierPrivileges>>;

/** What a service that reads another gets there: exactly what that service's own user tier has. */
export const readerPrivileges = tierPrivileges.user;

/**
 * `owners`: their migration tools need it. `apps`: whoever writes rows needs it. `non-readers`: the app and user of a service
 * that reads no other, for whom only a foreign view is a danger. `dump`: the role pg_dump runs as.
 */
export type Keeper = "owners" | "apps" | "non-readers" | "dump";

/** A right every role has by default in PostgreSQL and loses here. */
export interface PublicFunctions {
  readonly functions: readonly string[];
  /** What somebody could do with it. */
  readonly why: string;
  /** Who gets it back. @default nobody */
  readonly keptBy?: readonly Keeper[];
}

const advisoryLocks = [
  "pg_advisory_lock",
  "pg_advisory_xact_lock",
  "pg_try_advisory_lock",
  "pg_try_advisory_xact_lock",
];

/**
 * Built-in functions taken from PUBLIC; complete signatures, so that an overload a later version adds is not silently
 * missed (a live test looks for it). All in pg_catalog.
 */
export const revokedFunctions: readonly PublicFunctions[] = [
  {
    functions: advisoryLocks.flatMap((name) =>
      ["", "_shared"].flatMap((mode) => [`${name}${mode}(bigint)`, `${name}${mode}(integer, integer)`]),
    ),
    why: "a loop of them fills the lock table of the whole server and stops every login",
    keptBy: ["owners"],
  },
  {
    functions: [
      "lo_creat(integer)",
      "lo_create(oid)",
      "lo_from_bytea(oid, bytea)",
      "lo_put(oid, bigint, bytea)",
      "lo_truncate(integer, integer)",
      "lo_truncate64(integer, bigint)",
      "lo_unlink(oid)",
      "lowrite(integer, bytea)",
    ],
    why: "one large object of anybody breaks pg_dump by a role that is not superuser",
  },
  {
    functions: [
      "cursor_to_xml(refcursor, integer, boolean, boolean, text)",
      "cursor_to_xmlschema(refcursor, boolean, boolean, text)",
      "database_to_xml(boolean, boolean, text)",
      "database_to_xml_and_xmlschema(boolean, boolean, text)",
      "database_to_xmlschema(boolean, boolean, text)",
      "query_to_xml(text, boolean, boolean, text)",
      "query_to_xml_and_xmlschema(text, boolean, boolean, text)",
      "query_to_xmlschema(text, boolean, boolean, text)",
      "schema_to_xml(name, boolean, boolean, text)",
      "schema_to_xml_and_xmlschema(name, boolean, boolean, text)",
      "schema_to_xmlschema(name, boolean, boolean, text)",
      "table_to_xml(regclass, boolean, boolean, text)",
      "table_to_xml_and_xmlschema(regclass, boolean, boolean, text)",
      "table_to_xmlschema(regclass, boolean, boolean, text)",
      "ts_stat(text)",
      "ts_stat(text, text)",
      "ts_rewrite(tsquery, text)",
    ],
    why: "they run a query given as text: inside a view it runs with the rights of whoever reads the view",
  },
  {
    functions: ["pg_notify(text, text)"],
    why: "inside a view it carries the reader's rows to whoever listens; the command NOTIFY stays",
  },
  {
    functions: ["set_config(text, text, boolean)"],
    why: "inside a view it changes the reader's search_path, or shows its statistics to all as application_name; SET stays",
    keptBy: ["owners", "non-readers", "dump"],
  },
  {
    functions: ["pg_cancel_backend(integer)", "pg_terminate_backend(integer, bigint)"],
    why: "inside a view they end the sessions of whoever reads it",
    keptBy: ["owners", "non-readers"],
  },
  {
    functions: [
      "current_query()",
      "pg_cursor()",
      "pg_prepared_statement()",
      "pg_stat_get_activity(integer)",
      "pg_stat_get_backend_activity(integer)",
    ],
    why: "inside a view they show it what its reader asks, with the values in it",
    keptBy: ["owners", "non-readers", "dump"],
  },
  {
    functions: [
      "array_in(cstring, oid, integer)",
      "domain_in(cstring, oid, integer)",
      "multirange_in(cstring, oid, integer)",
      "pg_input_error_info(text, text)",
      "pg_input_is_valid(text, text)",
      "range_in(cstring, oid, integer)",
      "record_in(cstring, oid, integer)",
    ],
    why: "inside a view they find the reader's types by number or name, and run the checks of its domains with values of the view's",
    keptBy: ["owners", "non-readers"],
  },
  {
    functions: ["setseed(double precision)"],
    why: "inside a view it decides what random() will be for the reader",
    keptBy: ["owners", "non-readers"],
  },
  {
    functions: ["pg_export_snapshot()"],
    why: "each call is a file on the server's disk, which no limit counts",
    keptBy: ["dump"],
  },
  {
    functions: ["pg_logical_emit_message(boolean, text, bytea)", "pg_logical_emit_message(boolean, text, text)"],
    why: "it writes gigabytes of WAL in seconds",
  },
  {
    functions: [
      "currval(regclass)",
      "nextval(regclass)",
      "setval(regclass, bigint)",
      "setval(regclass, bigint, boolean)",
    ],
    why: "they lock whatever relation they are given, also where it is another service's or a catalog, before they ask for a right",
    keptBy: ["owners", "apps"],
  },
  {
    functions: ["pg_sequence_last_value(regclass)"],
    why: "it locks like nextval, for which the dump uses it",
    keptBy: ["owners", "apps", "dump"],
  },
  {
    functions: ["pg_get_object_address(text, text[], text[])"],
    why: "it locks whatever it is given by name, the guard's event triggers too, until the transaction ends",
  },
  {
    functions: ["currtid2(text, tid)"],
    why: "inside a view it tells which rows of the reader's tables were changed",
  },
  {
    functions: [
      "brin_desummarize_range(regclass, bigint)",
      "brin_summarize_new_values(regclass)",
      "brin_summarize_range(regclass, bigint)",
      "gin_clean_pending_list(regclass)",
    ],
    why: "they lock any service's index before they ask whose it is, and autovacuum makes way: in a loop it never gets done",
  },
];

/**
 * Views of pg_catalog taken from PUBLIC: they show values out of the tables that whoever runs the query may read, and inside a
 * foreign view that is its reader.
 */
export const revokedViews = ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"] as const;

/** Languages taken from PUBLIC and kept by owners: a DO loop burns transaction ids. Calling a function stays possible. */
export const revokedLanguages = ["plpgsql", "sql"] as const;
