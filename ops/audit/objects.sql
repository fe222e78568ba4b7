-- What is in the database besides privileges and should not be, or not so. $1: schemas of the services, $2: the platform's other
-- schemas, $3: its extensions, $4: its databases; $5: schemas of the services that are asked for, and '' for all that is in none of them.
-- A row for each; see objects.ts for what follows. Not materialized: a name is made of what is found only, and of what is asked for.
WITH part_of_extension AS (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relation AS NOT MATERIALIZED (
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner, c.relrowsecurity, c.relkind,
         CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS type,
         -- A sequence of a column goes with it.
         c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d
                                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                                        AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0)
           AS is_columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
     AND NOT EXISTS (SELECT FROM part_of_extension e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
), other AS NOT MATERIALIZED (
  SELECT n.nspname::text AS schema, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END AS type,
         -- Two procedures may differ by IN and OUT alone.
         CASE p.prokind WHEN 'p' THEN format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
                        ELSE p.oid::regprocedure::text END AS target, pg_get_userbyid(p.proowner)::text AS owner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
  UNION ALL
  SELECT n.nspname::text, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, format('%I.%I', n.nspname, t.typname),
         pg_get_userbyid(t.typowner)::text
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
   WHERE t.typtype IN ('d', 'e', 'r') OR t.typtype = 'c' AND c.relkind = 'c'
     AND NOT EXISTS (SELECT FROM part_of_extension e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid)
  UNION ALL
  SELECT n.nspname::text, 'OPERATOR', o.oid::regoperator::text, pg_get_userbyid(o.oprowner)::text
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
   WHERE NOT EXISTS (SELECT FROM part_of_extension e WHERE e.classid = 'pg_operator'::regclass AND e.objid = o.oid)
  UNION ALL
  SELECT n.nspname::text, 'COLLATION', format('%I.%I', n.nspname, c.collname), pg_get_userbyid(c.collowner)::text
    FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  UNION ALL
  SELECT n.nspname::text, 'TEXT SEARCH CONFIGURATION', format('%I.%I', n.nspname, c.cfgname), pg_get_userbyid(c.cfgowner)::text
    FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
   WHERE NOT EXISTS (SELECT FROM part_of_extension e WHERE e.classid = 'pg_ts_config'::regclass AND e.objid = c.oid)
), found(kind, type, schema, target, name, owner) AS (
  SELECT CASE WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                            WHERE n.nspname = relation.schema AND c.relname = (relation.schema || '_' || relation.name)::name)
              THEN 'prefix taken' ELSE 'prefix' END, type, schema, format('%I.%I', schema, name), name, owner
    FROM relation
   WHERE schema = ANY ($1) AND NOT starts_with(name, schema || '_') AND NOT is_columns
  UNION ALL
  SELECT 'owner', type, schema, format('%I.%I', schema, name), name, owner
    FROM relation
   WHERE schema = ANY ($1) AND owner <> schema || 'own' AND NOT is_columns
  UNION ALL
  SELECT 'owner', type, schema, target, '', owner FROM other WHERE schema = ANY ($1) AND owner <> schema || 'own'
  UNION ALL
  SELECT 'public', type, schema, format('%I.%I', schema, name), name, owner
    FROM relation
   WHERE schema IN ('public', 'extensions') AND NOT is_columns
  UNION ALL
  SELECT 'public', type, schema, target, '', owner FROM other WHERE schema IN ('public', 'extensions')
  UNION ALL
  SELECT 'row security', 'TABLE', schema, format('%I.%I', schema, name), name, owner FROM relation WHERE relrowsecurity
  UNION ALL
  -- With a path of its own it finds what its owner meant, whoever calls it.
  SELECT 'security definer', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, n.nspname::text,
         CASE p.prokind WHEN 'p' THEN format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
                        ELSE p.oid::regprocedure::text END, '',
         pg_get_userbyid(p.proowner)::text
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE p.prosecdef AND n.nspname = ANY ($1 || '{public,extensions}'::text[])
     AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c(setting) WHERE starts_with(setting, 'search_path='))
  UNION ALL
  SELECT 'large object', 'LARGE OBJECT', '', oid::text, '', pg_get_userbyid(lomowner)::text FROM pg_largeobject_metadata
  UNION ALL
  SELECT 'schema owner', 'SCHEMA', nspname::text, format('%I', nspname), '', pg_get_userbyid(nspowner)::text
    FROM pg_namespace
   WHERE nspname = ANY ($1) AND pg_get_userbyid(nspowner) <> 'platform'
  UNION ALL
  SELECT 'undeclared schema', 'SCHEMA', nspname::text, format('%I', nspname), '', pg_get_userbyid(nspowner)::text
    FROM pg_namespace
   WHERE nspname <> ALL ($1 || $2 || '{public,information_schema}'::text[]) AND nspname !~ '^pg_'
  UNION ALL
  SELECT 'missing schema', 'SCHEMA', s, format('%I', s), '', '' FROM unnest($1) AS s WHERE s NOT IN (SELECT nspname FROM pg_namespace)
  UNION ALL
  SELECT 'undeclared extension', 'EXTENSION', '', format('%I', extname), '', pg_get_userbyid(extowner)::text
    FROM pg_extension
   WHERE extname <> ALL ($3 || '{plpgsql}'::text[])
  UNION ALL
  SELECT 'missing extension', 'EXTENSION', '', format('%I', e), '', '' FROM unnest($3) AS e WHERE e NOT IN (SELECT extname FROM pg_extension)
  UNION ALL
  SELECT 'undeclared database', 'DATABASE', '', format('%I', datname), '', pg_get_userbyid(datdba)::text
    FROM pg_database
   WHERE datname <> ALL ($4)
  UNION ALL
  SELECT 'database setting', 'DATABASE', '', format('%I', datname), setting, '' 
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) AS setting
   WHERE s.setrole = 0
  UNION ALL
  SELECT 'server setting for all', 'ROLE', '', 'ALL', setting, '' 
    FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS setting
   WHERE s.setrole = 0 AND s.setdatabase = 0
)
SELECT * FROM found WHERE CASE WHEN schema = ANY ($1) THEN schema ELSE '' END = ANY ($5) ORDER BY kind, target;
