-- Tables of the services' schemas ($1). Views are left to the catalog: locking one locks what it reads.
SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
 ORDER BY 2;
