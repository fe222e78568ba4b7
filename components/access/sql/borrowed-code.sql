-- Code of services that runs without anybody asking for the right to execute it: in autovacuum as its owner, with no session to
-- end (expressions of indexes and statistics); in the planner and in functions such as to_json as whoever reads (the difference
-- function of a range type, casts). The guard refuses it, the effect test names what is there all the same.
CREATE OR REPLACE VIEW platform.borrowed_code AS
WITH service_code(class, oid, name) AS (
  SELECT 'pg_proc'::regclass, p.oid, p.oid::regprocedure::text
    FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner AND NOT r.rolsuper
  UNION ALL
  SELECT 'pg_operator'::regclass, o.oid, o.oid::regoperator::text
    FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode JOIN pg_roles r ON r.oid = p.proowner AND NOT r.rolsuper
  UNION ALL
  -- Its checks run where something becomes one; a row type may have such a column.
  SELECT 'pg_type'::regclass, t.oid, t.oid::regtype::text
    FROM pg_type t JOIN pg_roles r ON r.oid = t.typowner AND NOT r.rolsuper
   WHERE t.typtype IN ('d', 'c')
)
SELECT 'index' AS kind, i.indexrelid AS object, i.indrelid AS relation, i.indexrelid::regclass::text AS name, s.name AS code
  FROM pg_index i
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
  JOIN service_code s ON s.class = d.refclassid AND s.oid = d.refobjid
UNION ALL
SELECT 'statistics', e.oid, e.stxrelid, format('%I.%I', n.nspname, e.stxname), s.name
  FROM pg_statistic_ext e
  JOIN pg_namespace n ON n.oid = e.stxnamespace
  JOIN pg_depend d ON d.classid = 'pg_statistic_ext'::regclass AND d.objid = e.oid
  JOIN service_code s ON s.class = d.refclassid AND s.oid = d.refobjid
UNION ALL
SELECT 'range type', r.rngtypid, 0, r.rngtypid::regtype::text, s.name
  FROM pg_range r JOIN service_code s ON s.class = 'pg_proc'::regclass AND s.oid = r.rngsubdiff
UNION ALL
SELECT 'cast', c.oid, 0, format('%s AS %s', c.castsource::regtype, c.casttarget::regtype), s.name
  FROM pg_cast c JOIN service_code s ON s.class = 'pg_proc'::regclass AND s.oid = c.castfunc;
REVOKE ALL ON platform.borrowed_code FROM PUBLIC;
