-- What a service's schema has, in pieces that can be dropped one by one, and which of them stands on which. By the schema's number
-- alone: nothing of others is in it, and what an extension brings goes with the schema.
CREATE TEMP TABLE retired_inside ON COMMIT DROP AS
SELECT d.classid, d.objid,
       -- What goes with another: constructors of a range, the sequence of a column.
       EXISTS (SELECT FROM pg_depend p
                WHERE p.classid = d.classid AND p.objid = d.objid AND p.objsubid = 0
                  AND (p.deptype = 'i' OR p.deptype = 'a' AND p.refclassid = 'pg_class'::regclass AND p.refobjsubid > 0)) AS is_part
  FROM pg_depend d JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
 WHERE n.nspname IN (SELECT code FROM retired_role)
   AND d.objsubid = 0
   AND d.classid <> ALL ('{pg_default_acl,pg_extension,pg_publication_namespace}'::regclass[])
   AND NOT EXISTS (SELECT FROM pg_depend p WHERE p.classid = d.classid AND p.objid = d.objid AND p.deptype = 'e');
ALTER TABLE retired_inside ADD PRIMARY KEY (classid, objid);
ANALYZE retired_inside;

CREATE TEMP TABLE retired_piece ON COMMIT DROP AS
WITH parts AS (
  -- One table may have thousands of indexes, triggers, checks or sequences, and takes a lock on each.
  SELECT d.classid, d.objid, count(*) OVER (PARTITION BY d.refclassid, d.refobjid) AS of_one
    FROM retired_inside i JOIN pg_depend d ON d.refclassid = i.classid AND d.refobjid = i.objid
   WHERE NOT i.is_part AND d.deptype = 'a' AND d.objsubid = 0
     AND d.classid IN ('pg_class'::regclass, 'pg_trigger'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass,
                       'pg_statistic_ext'::regclass)
     AND NOT EXISTS (SELECT FROM pg_depend p WHERE p.classid = d.classid AND p.objid = d.objid AND p.deptype IN ('i', 'P', 'e'))
), pieces AS (
  SELECT classid, objid FROM retired_inside WHERE NOT is_part
  UNION
  SELECT classid, objid FROM parts WHERE of_one > 100
)
SELECT row_number() OVER (ORDER BY objid DESC)::int AS piece, classid, objid FROM pieces;
ALTER TABLE retired_piece ADD PRIMARY KEY (classid, objid);
ANALYZE retired_piece;

-- What goes with a piece without being asked for.
CREATE TEMP TABLE retired_part ON COMMIT DROP AS
WITH RECURSIVE part (piece, classid, objid) AS (
  SELECT piece, classid, objid FROM retired_piece
  UNION
  SELECT p.piece, d.classid, d.objid
    FROM part p JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid AND d.deptype IN ('a', 'i', 'S')
   WHERE NOT EXISTS (SELECT FROM retired_piece o WHERE o.classid = d.classid AND o.objid = d.objid)
)
SELECT * FROM part;
CREATE INDEX ON retired_part (classid, objid);
CREATE INDEX ON retired_part (piece);
ANALYZE retired_part;

CREATE TEMP TABLE retired_upon ON COMMIT DROP AS
SELECT DISTINCT upper.piece AS upper, lower.piece AS lower
  FROM retired_part upper
  JOIN pg_depend d ON d.classid = upper.classid AND d.objid = upper.objid
  JOIN retired_part lower ON lower.classid = d.refclassid AND lower.objid = d.refobjid
 WHERE upper.piece <> lower.piece;
CREATE INDEX ON retired_upon (upper);
ANALYZE retired_upon;

-- The statement that drops one; no row where it has gone with another. Names that an owner may choose are quoted.
CREATE OR REPLACE FUNCTION pg_temp.retired_drop(piece_class oid, piece oid) RETURNS text
LANGUAGE sql STABLE
AS $retired_drop$
  SELECT CASE piece_class
    WHEN 'pg_class'::regclass THEN
      (SELECT format('DROP %s %I.%I',
                     CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                  WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END,
                     nspname, relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = piece)
    -- Two procedures may differ by IN and OUT alone; an aggregate of no arguments is of all.
    WHEN 'pg_proc'::regclass THEN
      (SELECT format('DROP %s %I.%I(%s)', CASE prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
                     nspname, proname, CASE WHEN prokind = 'a' AND pronargs = 0 THEN '*' ELSE pg_get_function_identity_arguments(p.oid) END)
         FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE p.oid = piece)
    WHEN 'pg_type'::regclass THEN
      (SELECT format('DROP TYPE %I.%I', nspname, typname)
         FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE t.oid = piece)
    WHEN 'pg_trigger'::regclass THEN
      (SELECT format('DROP TRIGGER %I ON %I.%I', tgname, nspname, relname)
         FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE t.oid = piece)
    WHEN 'pg_policy'::regclass THEN
      (SELECT format('DROP POLICY %I ON %I.%I', polname, nspname, relname)
         FROM pg_policy p JOIN pg_class c ON c.oid = polrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE p.oid = piece)
    WHEN 'pg_constraint'::regclass THEN
      (SELECT CASE WHEN conrelid = 0 THEN format('ALTER DOMAIN %I.%I DROP CONSTRAINT %I', n.nspname, typname, conname)
                   ELSE format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, relname, conname) END
         FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace
         LEFT JOIN pg_class c ON c.oid = conrelid LEFT JOIN pg_type t ON t.oid = contypid WHERE k.oid = piece)
    ELSE
      (SELECT format('DROP %s %s', CASE type WHEN 'statistics object' THEN 'statistics' ELSE type END, identity)
         FROM pg_identify_object(piece_class, piece, 0) WHERE identity IS NOT NULL)
  END
$retired_drop$;
