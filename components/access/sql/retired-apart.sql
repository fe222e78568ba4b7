-- The statement that makes one stand on nothing that is dropped, but for the types of its columns or arguments; NULL where it does not.
-- DROP follows whoever stands on it to the end, takes a lock on each, and from a ring of thousands nothing can be dropped first: rings
-- are closed by CREATE OR REPLACE of a view or a function, or by a domain's default, alone. What is left can be dumped.
CREATE OR REPLACE FUNCTION pg_temp.retired_apart(class oid, object oid) RETURNS text
LANGUAGE sql STABLE
AS $retired_apart$
  WITH RECURSIVE own_type (oid) AS (
    (SELECT atttypid FROM pg_attribute WHERE class = 'pg_class'::regclass AND attrelid = object AND attnum > 0
     UNION
     SELECT unnest(prorettype || coalesce(proallargtypes, proargtypes::oid[])) FROM pg_proc
      WHERE class = 'pg_proc'::regclass AND oid = object
     UNION
     SELECT typbasetype FROM pg_type WHERE class = 'pg_type'::regclass AND oid = object)
    UNION
    SELECT t.typbasetype FROM own_type JOIN pg_type t USING (oid)
  ), code (class, oid) AS (
    SELECT 'pg_rewrite'::regclass::oid, oid FROM pg_rewrite WHERE class = 'pg_class'::regclass AND ev_class = object AND rulename = '_RETURN'
    UNION ALL
    SELECT class, object WHERE class <> 'pg_class'::regclass
  ), stands AS (
    SELECT EXISTS (SELECT FROM code c
                     JOIN pg_depend d ON d.classid = c.class AND d.objid = c.oid AND d.deptype = 'n'
                     JOIN pg_temp.retired_part p ON p.classid = d.refclassid AND p.objid = d.refobjid
                    WHERE NOT (d.refclassid = class AND d.refobjid = object)
                      AND NOT (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT o.oid FROM own_type o))
                      AND d.refclassid <> 'pg_collation'::regclass) AS on_others
  )
  SELECT CASE class
    WHEN 'pg_class'::regclass THEN
      (SELECT format('CREATE OR REPLACE VIEW %I.%I AS SELECT %s', n.nspname, c.relname, string_agg(
                format('NULL::%s%s AS %I', format_type(a.atttypid, a.atttypmod),
                       CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %I.%I', l.nspname, k.collname) END, a.attname),
                ', ' ORDER BY a.attnum))
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         LEFT JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_collation k ON k.oid = a.attcollation LEFT JOIN pg_namespace l ON l.oid = k.collnamespace
        WHERE c.oid = object AND c.relkind = 'v'
        GROUP BY n.nspname, c.relname)
    -- CREATE OR REPLACE keeps the type of a default, which nobody tells where the argument is of any type.
    WHEN 'pg_proc'::regclass THEN
      (SELECT format($apart$
                WITH stood AS (
                  DELETE FROM pg_depend d USING pg_temp.retired_part p
                   WHERE d.classid = 'pg_proc'::regclass AND d.objid = %1$s AND p.classid = d.refclassid AND p.objid = d.refobjid
                     AND NOT (d.refclassid = 'pg_type'::regclass AND d.refobjid = ANY (%2$L::oid[])))
                UPDATE pg_proc SET prosqlbody = NULL, proargdefaults = NULL, pronargdefaults = 0 WHERE oid = %1$s$apart$,
                p.oid, (SELECT array_agg(o.oid) FROM own_type o))
         FROM pg_proc p
        WHERE p.oid = object AND p.prokind = 'f' AND (p.prosqlbody IS NOT NULL OR p.pronargdefaults > 0))
    WHEN 'pg_type'::regclass THEN
      (SELECT format('ALTER DOMAIN %I.%I DROP DEFAULT', n.nspname, t.typname)
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid = object AND t.typtype = 'd' AND t.typdefaultbin IS NOT NULL)
  END
    FROM stands WHERE on_others
$retired_apart$;
