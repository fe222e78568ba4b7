-- What is to be dropped, and whatever speaks against it, a sentence each: DROP … CASCADE takes what others have made upon it as well,
-- and DROP OWNED whatever else its roles own.
CREATE TEMP TABLE retired_role (code name, role name) ON COMMIT DROP;
CREATE TEMP VIEW retired_obstacle AS
WITH RECURSIVE dependent (classid, objid, objsubid) AS (
  SELECT d.classid, d.objid, d.objsubid
    FROM pg_depend d JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
   WHERE n.nspname IN (SELECT code FROM retired_role)
  UNION
  SELECT d.classid, d.objid, d.objsubid
    FROM dependent p JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid
   WHERE p.objsubid = 0 OR d.refobjsubid = p.objsubid
), inside (classid, objid) AS (
  -- Whose names are not asked for: that takes its time, where there are thousands.
  SELECT o.classid, o.objid
    FROM (SELECT 'pg_class'::regclass::oid, oid, relnamespace FROM pg_class
          UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
          UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc) o (classid, objid, namespace)
    JOIN pg_namespace n ON n.oid = o.namespace
   WHERE n.nspname IN (SELECT code FROM retired_role)
), upon AS (
  -- A rule, a default or a trigger is in no schema, and its address begins with that of its table.
  SELECT i.type, i.identity, coalesce(i.schema, a.object_names[1]) AS schema
    FROM (SELECT d.* FROM dependent d WHERE (d.classid, d.objid) NOT IN (SELECT classid, objid FROM inside) OFFSET 0) d,
         pg_identify_object(d.classid, d.objid, d.objsubid) i,
         pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a
   WHERE i.type <> 'default acl'
     -- A range is cast to its multirange, which is made with it.
     AND NOT (i.type = 'cast' AND EXISTS (SELECT FROM pg_depend p WHERE p.classid = d.classid AND p.objid = d.objid AND p.deptype = 'i'))
), owned AS (
  SELECT r.rolname, s.*
    FROM retired_role t JOIN pg_roles r ON r.rolname = t.role
    JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid
)
SELECT format('%s may log in: the service is not frozen here', r.rolname) AS why
  FROM retired_role t JOIN pg_roles r ON r.rolname = t.role
 WHERE r.rolcanlogin
UNION ALL
-- What stands upon that in its turn is found once that is gone.
(SELECT format('%s of another service stands on it: its owner drops it first',
               CASE type WHEN 'rule' THEN regexp_replace(identity, '^.* on ', 'view ') ELSE type || ' ' || identity END)
   FROM upon
  WHERE schema NOT IN (SELECT code FROM retired_role) AND schema <> 'pg_toast'
  ORDER BY 1 LIMIT 5)
UNION ALL
SELECT DISTINCT format('schema %s has what is of %s: %s, where nobody needs it', i.schema, o.rolname,
                       CASE WHEN i.schema ~ '_(before|failed|dropped)_\d{8}t\d{6}$' THEN format('npm run ops -- restore drop %s', i.schema)
                            ELSE format('DROP SCHEMA %s CASCADE, as superuser', i.schema) END)
  FROM owned o, pg_identify_object(o.classid, o.objid, o.objsubid) i
 WHERE o.deptype = 'o' AND o.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (o.classid, o.objid) NOT IN (SELECT classid, objid FROM inside)
   AND i.schema NOT IN (SELECT code::text FROM retired_role)
UNION ALL
SELECT DISTINCT format('database %s has what is of %s: dropdb -U postgres %1$s, where nobody needs it', d.datname, o.rolname)
  FROM owned o JOIN pg_database d ON d.oid = o.dbid
 WHERE d.datname <> current_database();
