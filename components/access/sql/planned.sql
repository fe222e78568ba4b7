-- What the plan says, as rows, for the steps below that compare it with the server. They end with the transaction.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
CREATE TEMP TABLE planned_role (name text PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE planned_membership (role text, member text) ON COMMIT DROP;
-- What is granted on them and not planned is revoked; on objects in them where the schema is a service's.
CREATE TEMP TABLE planned_schema (name text PRIMARY KEY, is_service boolean) ON COMMIT DROP;
-- Of which role may use which schema.
CREATE TEMP TABLE planned_use (schema text, role text) ON COMMIT DROP;
-- class: database, schema, table, sequence, routine or function; name: of the database or schema, or the function's signature.
CREATE TEMP TABLE planned_privilege (class text, name text, grantee text, privilege text) ON COMMIT DROP;
-- schema '' is every schema; object_type as in pg_default_acl: r, S, f.
CREATE TEMP TABLE planned_default_privilege (owner text, schema text, object_type "char", grantee text, privilege text)
  ON COMMIT DROP;
