-- What is on the disk, as one JSON object; as the superuser, who may look at files. Files are asked and no table:
-- pg_total_relation_size waits for whoever has locked one, and relpages are as old as the last VACUUM, which an owner can turn off.
SET search_path = pg_catalog;
SET lock_timeout = '5s';
SET statement_timeout = '30s';
-- Asked before the catalog is: what was under way then is older than its files, and what was over then the catalog has. A file's time
-- has no parts of a second, and is of the kernel's last tick.
DO $$
BEGIN
  PERFORM set_config('centraldb.oldest',
                     (SELECT date_trunc('second', min(xact_start) - interval '1 s')::text FROM pg_stat_activity), false);
END
$$;
WITH file AS MATERIALIZED (
  -- 16390, 16390.1 (from one gigabyte on), 16390_fsm; of no temporary table.
  SELECT 'base/' || d.oid || '/' || name AS path, substring(name FROM '^\d+')::oid AS filenode, stat.size, stat.modification
    FROM pg_database d, pg_ls_dir('base/' || d.oid) AS name, pg_stat_file('base/' || d.oid || '/' || name, true) AS stat
   WHERE d.datname = current_database() AND name ~ '^\d+([._]|$)'),
relation AS MATERIALIZED (
  SELECT oid AS of, pg_relation_filenode(oid) AS filenode FROM pg_class
  UNION ALL
  -- Long values are in a table of their own, and that has an index.
  SELECT oid, pg_relation_filenode(reltoastrelid) FROM pg_class WHERE reltoastrelid <> 0
  UNION ALL
  SELECT c.oid, pg_relation_filenode(x.indexrelid) FROM pg_class c JOIN pg_index x ON x.indrelid = c.reltoastrelid),
schema AS (
  SELECT n.nspname AS name, coalesce(sum(f.size), 0) AS bytes
    FROM pg_namespace n
    LEFT JOIN pg_class c ON c.relnamespace = n.oid
    LEFT JOIN relation r ON r.of = c.oid
    LEFT JOIN file f USING (filenode)
   WHERE pg_get_userbyid(n.nspowner) = 'platform'
   GROUP BY n.nspname),
orphan AS (
  SELECT path, size FROM file
   WHERE filenode NOT IN (SELECT filenode FROM relation WHERE filenode IS NOT NULL)
     AND size > 0 AND modification < current_setting('centraldb.oldest')::timestamptz)
SELECT json_build_object(
  'schemas', (SELECT coalesce(json_object_agg(name, bytes), '{}') FROM schema),
  -- PostgreSQL's own tables: comments and definitions are there, whosever they are.
  'catalogs', (SELECT coalesce(sum(size), 0) FROM file WHERE filenode IN (SELECT filenode FROM relation WHERE of < 16384)),
  -- What a transaction had written when the server crashed; PostgreSQL leaves it there.
  'orphans', (SELECT json_build_object('bytes', coalesce(sum(size), 0), 'files', count(*),
                                       'largest', coalesce(json_agg(path ORDER BY size DESC, path) FILTER (WHERE rank <= 5), '[]'))
                FROM (SELECT path, size, row_number() OVER (ORDER BY size DESC, path) AS rank FROM orphan) AS ranked));
