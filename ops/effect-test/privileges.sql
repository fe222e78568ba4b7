-- What each tier role holds by privilege on what exists in the services' schemas: effective (memberships and PUBLIC
-- count), without what it owns. $1: roles, $2: schemas. An object nobody holds anything on is a row with empty "held".
WITH r AS (SELECT oid, rolname FROM pg_roles WHERE rolname = ANY ($1)),
     n AS (SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname = ANY ($2))
SELECT r.rolname AS role, 'schema' AS type, n.nspname AS schema, n.nspname AS object,
       ARRAY(SELECT p FROM unnest('{USAGE,CREATE}'::text[]) p WHERE has_schema_privilege(r.oid, n.oid, p)) AS held
  FROM r, n
UNION ALL
SELECT r.rolname, 'table', n.nspname, c.relname,
       ARRAY(SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
              WHERE has_table_privilege(r.oid, c.oid, p)
                 OR p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r.oid, c.oid, p))
  FROM r, n JOIN pg_class c ON c.relnamespace = n.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner <> r.oid
UNION ALL
SELECT r.rolname, 'sequence', n.nspname, c.relname,
       ARRAY(SELECT p FROM unnest('{USAGE,SELECT,UPDATE}'::text[]) p WHERE has_sequence_privilege(r.oid, c.oid, p))
  FROM r, n JOIN pg_class c ON c.relnamespace = n.oid
 WHERE c.relkind = 'S' AND c.relowner <> r.oid
UNION ALL
SELECT r.rolname, 'routine', n.nspname, p.oid::regprocedure::text,
       CASE WHEN has_function_privilege(r.oid, p.oid, 'EXECUTE') THEN '{EXECUTE}' ELSE '{}' END::text[]
  FROM r, n JOIN pg_proc p ON p.pronamespace = n.oid
 WHERE p.proowner <> r.oid
   -- Constructors of range types: PostgreSQL's own, as harmless as the type.
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT r.rolname, 'language', '', l.lanname,
       CASE WHEN has_language_privilege(r.oid, l.oid, 'USAGE') THEN '{USAGE}' ELSE '{}' END::text[]
  FROM r, pg_language l
 WHERE l.lanpltrusted;
