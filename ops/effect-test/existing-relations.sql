-- Tables of the services' schemas ($1), with a column that UPDATE … SET = DEFAULT may name. Views may refuse for reasons of
-- their own (a function in them, no way to update them): the catalog answers for those.
SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name,
       (SELECT quote_ident(attname) FROM pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1) AS "column"
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
 ORDER BY 2;
