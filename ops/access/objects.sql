-- Everything that has privileges, one row each; a fragment: what uses it goes on with a comma. "class" and "oid" are pg_depend's; "schema" is '' for what is in none;
-- "target" and, of a column, "columns" are how GRANT names it; "initial" is what PostgreSQL, or the extension it came with, gives by itself.
WITH object(class, oid, type, schema, name, target, owner, acl, initial, columns) AS (
  SELECT 'pg_database'::regclass, oid, 'database', '', format('%I', datname), format('DATABASE %I', datname), datdba, datacl, acldefault('d', datdba), ''
    FROM pg_database
  UNION ALL
  SELECT 'pg_namespace'::regclass, n.oid, 'schema', nspname, format('%I', nspname), format('SCHEMA %I', nspname), nspowner, nspacl,
         -- initdb notes what it grants, but not of this one.
         coalesce(i.initprivs, acldefault('n', nspowner)
                    || CASE WHEN nspname = 'information_schema' THEN ARRAY[makeaclitem(0, nspowner, 'USAGE', false)] ELSE '{}' END), ''
    FROM pg_namespace n
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid
   WHERE nspname !~ '^pg_(toast|temp)'
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid,
         CASE relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                      WHEN 'f' THEN 'foreign table' ELSE 'table' END,
         nspname, format('%I.%I', nspname, relname),
         format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname), relowner, relacl,
         coalesce(i.initprivs, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)
                    || CASE WHEN nspname = 'information_schema' THEN ARRAY[makeaclitem(0, relowner, 'SELECT', false)] ELSE '{}' END), ''
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = 0
   WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND nspname !~ '^pg_(toast|temp)'
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid, 'column', nspname, format('%I.%I.%I', nspname, relname, attname), format('TABLE %I.%I', nspname, relname), relowner,
         attacl, i.initprivs, format(' (%I)', attname)
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid
    JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = attnum
   WHERE attacl IS NOT NULL
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
         nspname, format('%I.%I(%s)', nspname, proname, oidvectortypes(proargtypes)),
         -- Two procedures may differ by IN and OUT alone.
         CASE prokind WHEN 'p' THEN format('PROCEDURE %I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid))
                      ELSE format('FUNCTION %s', p.oid::regprocedure) END, proowner, proacl,
         coalesce(i.initprivs, acldefault('f', proowner)), ''
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = pronamespace
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 'type', nspname, format('%I.%I', nspname, typname), format('TYPE %I.%I', nspname, typname), typowner, typacl,
         acldefault('T', typowner), ''
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = typnamespace
   -- Row types and arrays go with what they are made of.
   WHERE typacl IS NOT NULL OR NOT (typtype = 'c' OR typtype = 'b' AND typcategory = 'A')
  UNION ALL
  SELECT 'pg_language'::regclass, oid, 'language', '', format('%I', lanname), format('LANGUAGE %I', lanname), lanowner, lanacl, acldefault('l', lanowner), ''
    FROM pg_language
   WHERE lanpltrusted
  UNION ALL
  SELECT 'pg_foreign_data_wrapper'::regclass, oid, 'foreign-data wrapper', '', format('%I', fdwname), format('FOREIGN DATA WRAPPER %I', fdwname), fdwowner, fdwacl,
         acldefault('F', fdwowner), ''
    FROM pg_foreign_data_wrapper
  UNION ALL
  SELECT 'pg_foreign_server'::regclass, oid, 'foreign server', '', format('%I', srvname), format('FOREIGN SERVER %I', srvname), srvowner, srvacl,
         acldefault('S', srvowner), ''
    FROM pg_foreign_server
  UNION ALL
  SELECT 'pg_tablespace'::regclass, oid, 'tablespace', '', format('%I', spcname), format('TABLESPACE %I', spcname), spcowner, spcacl, acldefault('t', spcowner), ''
    FROM pg_tablespace
  UNION ALL
  SELECT 'pg_parameter_acl'::regclass, oid, 'parameter', '', parname, format('PARAMETER %s', parname), 10, paracl, acldefault('p', 10), '' FROM pg_parameter_acl
  UNION ALL
  SELECT 'pg_largeobject'::regclass, m.oid, 'large object', '', m.oid::text, format('LARGE OBJECT %s', m.oid), lomowner, lomacl, acldefault('L', lomowner), ''
    FROM pg_largeobject_metadata m
)
