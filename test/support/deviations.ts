/**
 * What can go wrong on a server with the plan of mutants.ts and the objects of audit.test.ts: its name, the SQL that does it as
 * superuser, past the guard, and every line the audit has to say of it.
 */
export const deviations: readonly (readonly [name: string, sql: string, found: readonly string[]])[] = [
  // Privileges, by kind of object
  ["a table", "GRANT INSERT ON gt.gt_t TO gtuser", ["gtuser: INSERT on table gt.gt_t: expected denied, found allowed"]],
  [
    "a table's reader",
    "REVOKE SELECT ON gt.gt_t FROM aguser",
    ["aguser: SELECT on table gt.gt_t: expected allowed, found denied"],
  ],
  ["a view", "GRANT SELECT ON gt.gt_v TO PUBLIC", ["PUBLIC: SELECT on view gt.gt_v: expected denied, found allowed"]],
  [
    "a materialized view",
    "REVOKE SELECT ON gt.gt_m FROM gtapp",
    ["gtapp: SELECT on materialized view gt.gt_m: expected allowed, found denied"],
  ],
  [
    "a partition",
    "GRANT TRUNCATE ON gt.gt_p1 TO gtapp",
    ["gtapp: TRUNCATE on table gt.gt_p1: expected denied, found allowed"],
  ],
  [
    "a column",
    "GRANT UPDATE (note) ON gt.gt_t TO gtuser",
    ["gtuser: UPDATE on column gt.gt_t.note: expected denied, found allowed"],
  ],
  [
    "a sequence",
    "GRANT USAGE ON SEQUENCE gt.gt_s TO gtuser",
    ["gtuser: USAGE on sequence gt.gt_s: expected denied, found allowed"],
  ],
  [
    "a serial column's sequence",
    "REVOKE USAGE ON SEQUENCE gt.gt_t_id_seq FROM gtapp",
    ["gtapp: USAGE on sequence gt.gt_t_id_seq: expected allowed, found denied"],
  ],
  [
    "a function",
    "GRANT EXECUTE ON FUNCTION gt.gt_f TO PUBLIC",
    ["PUBLIC: EXECUTE on function gt.gt_f(integer): expected denied, found allowed"],
  ],
  [
    "a procedure",
    "REVOKE EXECUTE ON PROCEDURE gt.gt_c FROM gtapp",
    ["gtapp: EXECUTE on procedure gt.gt_c(): expected allowed, found denied"],
  ],
  ["a type", "GRANT USAGE ON TYPE gt.e TO scapp", ["scapp: USAGE on type gt.e: expected denied, found allowed"]],
  ["a schema", "GRANT USAGE ON SCHEMA gt TO scapp", ["scapp: USAGE on schema gt: expected denied, found allowed"]],
  [
    "schema public",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    ["PUBLIC: CREATE on schema public: expected denied, found allowed"],
  ],
  [
    "the platform's schema",
    "GRANT USAGE ON SCHEMA platform TO gtapp; GRANT SELECT ON platform.password TO gtapp",
    [
      "gtapp: USAGE on schema platform: expected denied, found allowed",
      "gtapp: SELECT on table platform.password: expected denied, found allowed",
    ],
  ],
  [
    "the extensions",
    "REVOKE USAGE ON SCHEMA extensions FROM gtuser",
    ["gtuser: USAGE on schema extensions: expected allowed, found denied"],
  ],
  [
    "the database",
    "GRANT TEMPORARY ON DATABASE appdb TO gtapp",
    ["gtapp: TEMPORARY on database appdb: expected denied, found allowed"],
  ],
  [
    "another database",
    "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
    ["PUBLIC: CONNECT on database postgres: expected denied, found allowed"],
  ],
  [
    "a catalog",
    "GRANT SELECT ON pg_authid TO gtapp",
    ["gtapp: SELECT on table pg_catalog.pg_authid: expected denied, found allowed"],
  ],
  [
    "a column of a catalog",
    "GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC",
    ["PUBLIC: SELECT on column pg_catalog.pg_authid.rolpassword: expected denied, found allowed"],
  ],
  [
    "a function PUBLIC lost",
    "GRANT EXECUTE ON FUNCTION pg_notify TO PUBLIC",
    ["PUBLIC: EXECUTE on function pg_catalog.pg_notify(text, text): expected denied, found allowed"],
  ],
  [
    "a function an owner keeps",
    "REVOKE EXECUTE ON FUNCTION pg_advisory_lock(bigint) FROM gtown",
    ["gtown: EXECUTE on function pg_catalog.pg_advisory_lock(bigint): expected allowed, found denied"],
  ],
  [
    "a function everybody has",
    "REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC",
    ["PUBLIC: EXECUTE on function pg_catalog.pg_sleep(double precision): expected allowed, found denied"],
  ],
  [
    "a function of superusers",
    "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO gtapp",
    ["gtapp: EXECUTE on function pg_catalog.pg_read_file(text): expected denied, found allowed"],
  ],
  [
    "a view PUBLIC lost",
    "GRANT SELECT ON pg_stats TO PUBLIC",
    ["PUBLIC: SELECT on view pg_catalog.pg_stats: expected denied, found allowed"],
  ],
  [
    "a language",
    "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    ["PUBLIC: USAGE on language plpgsql: expected denied, found allowed"],
  ],
  [
    "a parameter",
    "GRANT SET ON PARAMETER work_mem TO gtapp",
    ["gtapp: SET on parameter work_mem: expected denied, found allowed"],
  ],
  [
    "a tablespace",
    "GRANT CREATE ON TABLESPACE pg_default TO gtown",
    ["gtown: CREATE on tablespace pg_default: expected denied, found allowed"],
  ],
  [
    "the information schema",
    "REVOKE SELECT ON information_schema.tables FROM PUBLIC",
    ["PUBLIC: SELECT on view information_schema.tables: expected allowed, found denied"],
  ],
  [
    "an owner of its own",
    "REVOKE INSERT ON gt.gt_t FROM gtown",
    ["gtown: INSERT on table gt.gt_t: expected allowed, found denied"],
  ],
  [
    "a grant option",
    "GRANT SELECT ON gt.gt_t TO gtapp WITH GRANT OPTION",
    ["gtapp: SELECT on table gt.gt_t: expected allowed, found allowed, and may be granted on"],
  ],
  [
    "what a third one granted with it",
    "GRANT SELECT ON sc.sc_t TO scapp WITH GRANT OPTION; SET ROLE scapp; GRANT SELECT ON sc.sc_t TO gtuser; RESET ROLE",
    [
      "gtuser: SELECT on table sc.sc_t: expected denied, found allowed",
      "scapp: SELECT on table sc.sc_t: expected allowed, found allowed, and may be granted on",
    ],
  ],
  [
    "a role nobody declared",
    "CREATE ROLE stranger; GRANT SELECT ON gt.gt_t TO stranger",
    [
      "stranger: role: expected no such role, found it is there",
      "stranger: SELECT on table gt.gt_t: expected denied, found allowed",
    ],
  ],
  // Default privileges
  [
    "what is to come",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT INSERT ON TABLES TO gtuser",
    ["gtuser: INSERT on future tables of gtown in schema gt: expected denied, found allowed"],
  ],
  [
    "what is not to come",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt REVOKE SELECT ON TABLES FROM aguser",
    ["aguser: SELECT on future tables of gtown in schema gt: expected allowed, found denied"],
  ],
  [
    "routines to come",
    "ALTER DEFAULT PRIVILEGES FOR ROLE gtown GRANT EXECUTE ON ROUTINES TO PUBLIC",
    ["PUBLIC: EXECUTE on future routines of gtown: expected denied, found allowed"],
  ],
  [
    "another's to come",
    "ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA gt GRANT SELECT ON SEQUENCES TO scapp",
    ["scapp: SELECT on future sequences of postgres in schema gt: expected denied, found allowed"],
  ],
  // Roles
  ["an attribute", "ALTER ROLE gtapp CREATEROLE", ["gtapp: attribute: expected NOCREATEROLE, found CREATEROLE"]],
  ["a superuser", "ALTER ROLE gtown SUPERUSER", ["gtown: attribute: expected NOSUPERUSER, found SUPERUSER"]],
  [
    "a login",
    "ALTER ROLE gtuser NOLOGIN",
    [
      "gtuser: attribute: expected LOGIN, found NOLOGIN",
      "gtuser: login with its password: expected let in, found not permitted",
    ],
  ],
  ["a login of the platform", "ALTER ROLE platform LOGIN", ["platform: attribute: expected NOLOGIN, found LOGIN"]],
  ["the dump role's sight", "ALTER ROLE app NOBYPASSRLS", ["app: attribute: expected BYPASSRLS, found NOBYPASSRLS"]],
  ["a limit", "ALTER ROLE gtapp CONNECTION LIMIT 50", ["gtapp: connection limit: expected 5, found 50"]],
  [
    "an end",
    "ALTER ROLE gtapp VALID UNTIL '2100-01-01 00:00+00'",
    ["gtapp: password valid: expected for ever, found until 2100-01-01 00:00:00+00"],
  ],
  ["a setting", "ALTER ROLE gtapp SET work_mem = '1GB'", ["gtapp: setting work_mem: expected not set, found 1GB"]],
  [
    "a changed setting",
    "ALTER ROLE gtapp SET statement_timeout = 0",
    ["gtapp: setting statement_timeout: expected 30000, found 0"],
  ],
  [
    "a lost setting",
    "ALTER ROLE gtuser RESET temp_file_limit",
    ["gtuser: setting temp_file_limit: expected 1024MB, found not set"],
  ],
  [
    "a path",
    "ALTER ROLE gtapp SET search_path = gt, ag, extensions",
    ["gtapp: setting search_path: expected gt, extensions, found gt, ag, extensions"],
  ],
  [
    "a setting in one database",
    "ALTER ROLE gtapp IN DATABASE appdb SET work_mem = '1GB'",
    ["gtapp: setting work_mem in database appdb: expected not set, found 1GB"],
  ],
  [
    "a setting of the database",
    "ALTER DATABASE appdb SET work_mem = '1GB'",
    ["database appdb: expected the server's settings, found work_mem=1GB"],
  ],
  [
    "a setting of all",
    "ALTER ROLE ALL SET work_mem = '1GB'",
    ["role ALL: expected the server's settings, found work_mem=1GB"],
  ],
  [
    "a password",
    "ALTER ROLE gtapp PASSWORD 'another one'",
    ["gtapp: login with its password: expected let in, found the password is another"],
  ],
  [
    "a membership",
    "GRANT pg_read_all_data TO gtapp",
    ["gtapp: member of pg_read_all_data: expected no, found yes, by postgres"],
  ],
  [
    "a membership in another service",
    "GRANT agown TO gtown WITH INHERIT FALSE",
    ["gtown: member of agown: expected no, found yes, by postgres"],
  ],
  ["a lost membership", "REVOKE pg_monitor FROM app", ["app: member of pg_monitor: expected yes, found no"]],
  [
    "a membership's option",
    "GRANT pg_monitor TO app WITH ADMIN OPTION",
    ["app: member of pg_monitor: expected yes, as GRANT makes it, found with admin option"],
  ],
  [
    "a membership without effect",
    "GRANT pg_monitor TO app WITH INHERIT FALSE",
    ["app: member of pg_monitor: expected yes, as GRANT makes it, found without inherit option"],
  ],
  // Objects
  [
    "an owner",
    "ALTER TABLE gt.gt_t OWNER TO postgres",
    ["postgres: table gt.gt_t: expected owner gtown, found postgres"],
  ],
  [
    "a function's owner",
    "ALTER FUNCTION gt.gt_f OWNER TO agown",
    ["agown: function gt.gt_f(integer): expected owner gtown, found agown"],
  ],
  ["a type's owner", "ALTER TYPE gt.e OWNER TO agown", ["agown: type gt.e: expected owner gtown, found agown"]],
  [
    "a schema's owner",
    "ALTER SCHEMA gt OWNER TO gtown",
    [
      "gtown: CREATE on schema gt: expected allowed, found denied",
      "gtown: USAGE on schema gt: expected allowed, found denied",
      "gtown: schema gt: expected owner platform, found gtown",
    ],
  ],
  ["a prefix", "ALTER SEQUENCE gt.gt_s RENAME TO s", ["gtown: sequence gt.s: expected the prefix gt_, found none"]],
  [
    "a table in public",
    "CREATE TABLE public.left_over (id int); ALTER TABLE public.left_over OWNER TO gtown",
    ["gtown: table public.left_over: expected in a service's schema, found in schema public"],
  ],
  [
    "a function in extensions",
    "CREATE FUNCTION extensions.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION extensions.f OWNER TO gtown",
    ["gtown: function extensions.f(): expected in a service's schema, found in schema extensions"],
  ],
  [
    "row level security",
    "ALTER TABLE gt.gt_t ENABLE ROW LEVEL SECURITY",
    ["gtown: table gt.gt_t: expected every row for whoever may read it, found row level security"],
  ],
  [
    "a function that runs as its owner",
    "ALTER FUNCTION gt.gt_f SECURITY DEFINER",
    [
      "gtown: function gt.gt_f(integer): expected SECURITY INVOKER, or a search_path of its own, found SECURITY DEFINER with its caller's",
    ],
  ],
  [
    "a large object",
    "SELECT lo_create(4711)",
    ["postgres: large object 4711: expected none: one breaks the dump, found there"],
  ],
  ["a schema nobody declared", "CREATE SCHEMA stray", ["postgres: schema stray: expected no such schema, found there"]],
  [
    "an extension nobody declared",
    "CREATE EXTENSION pg_trgm SCHEMA extensions",
    ["postgres: extension pg_trgm: expected none, found there"],
  ],
  ["a lost extension", "DROP EXTENSION citext", ["extension citext: expected there, found none"]],
  // The guard
  [
    "a disabled guard",
    "ALTER EVENT TRIGGER enforce_prefix DISABLE",
    ["event trigger enforce_prefix: expected enabled, found disabled"],
  ],
  [
    "a lost guard",
    "DROP EVENT TRIGGER refuse_commands",
    ["event trigger refuse_commands: expected there, found missing"],
  ],
  [
    "a hollow guard",
    "CREATE OR REPLACE FUNCTION platform.refuse_commands() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    ["function platform.refuse_commands: expected the platform's, found another"],
  ],
  [
    "another event trigger",
    "CREATE FUNCTION platform.more() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; REVOKE ALL ON FUNCTION platform.more FROM PUBLIC; CREATE EVENT TRIGGER more ON sql_drop EXECUTE FUNCTION platform.more()",
    ["event trigger more: expected none but the guard's, found there, of postgres"],
  ],
  [
    "an index past the guard",
    "CREATE INDEX gt_i ON gt.gt_t (gt.gt_f(id))",
    ["index gt.gt_i: expected none: the guard refuses it, found uses gt.gt_f(integer)"],
  ],
  [
    "statistics past it",
    "CREATE STATISTICS gt.gt_stat ON (id + 1) FROM gt.gt_t; ALTER STATISTICS gt.gt_stat OWNER TO gtown",
    ["statistics gt.gt_stat: expected none: the guard refuses it, found uses an expression"],
  ],
  [
    "a slow vacuum past it",
    "ALTER TABLE gt.gt_t SET (autovacuum_vacuum_cost_delay = 100)",
    ["table gt.gt_t: expected none: the guard refuses it, found uses autovacuum_vacuum_cost_delay=100"],
  ],
  [
    "a slow vacuum of what is long",
    "ALTER TABLE gt.gt_t SET (toast.autovacuum_vacuum_cost_delay = 100, toast.autovacuum_vacuum_cost_limit = 1)",
    [
      "table gt.gt_t: expected none: the guard refuses it, found uses toast.autovacuum_vacuum_cost_delay=100",
      "table gt.gt_t: expected none: the guard refuses it, found uses toast.autovacuum_vacuum_cost_limit=1",
    ],
  ],
  [
    "a setting of megabytes",
    "DO $$ BEGIN EXECUTE format('ALTER ROLE gtapp SET application_name = %L', repeat('x', 10000000)); END $$",
    [`gtapp: setting application_name: expected not set, found ${"x".repeat(500)}`],
  ],
];
