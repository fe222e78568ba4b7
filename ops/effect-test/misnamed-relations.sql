-- Relations of the services' schemas ($1) that lack the prefix and are not free of it: see guard.sql.
SELECT pg_get_userbyid(c.relowner) AS owner, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
   AND NOT starts_with(c.relname, n.nspname || '_')
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                      AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')
                           AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0))
 ORDER BY 3;
