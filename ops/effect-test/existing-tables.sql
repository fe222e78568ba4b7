-- Tables of the services' schemas ($1), of each no more than $2: of those that are alike in owner and privileges one before all, then at
-- random. Views are left to the catalog: locking one locks what it reads.
SELECT schema, name, of
  FROM (SELECT schema, name, (count(*) OVER of_schema)::int AS of, row_number() OVER (of_schema ORDER BY nth, random()) AS place
          FROM (SELECT n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name,
                       row_number() OVER (PARTITION BY n.oid, c.relkind, c.relowner, c.relacl::text) AS nth
                  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')) AS t
        WINDOW of_schema AS (PARTITION BY schema)) AS ranked
 WHERE place <= $2
 ORDER BY 1, 2;
