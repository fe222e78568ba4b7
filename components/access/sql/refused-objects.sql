-- What privileges cannot refuse an owner, as rows: code of services that runs without anybody asking for the right to execute it,
-- and what takes the autovacuum and the dump all services share, or what is another's from its owner. The guard refuses it, the effect test names what is there all the same.
-- A function, not a view: anybody can lock a view, and so keep it from being replaced.
-- Not the server's, but of the objects asked for: what one service has must not make everybody's DDL slow. An object is asked for by its
-- number alone, of whichever catalog; a relation brings its indexes, statistics and TOAST table.
CREATE OR REPLACE FUNCTION platform.refused_objects(objects oid[])
RETURNS TABLE (kind text, name text, uses text, why text, cure text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $refused_objects$
-- Names are made of what is found only: the guard asks at every DDL of everybody.
WITH used(class, oid) AS MATERIALIZED (
  SELECT d.refclassid, d.refobjid
    FROM (SELECT indexrelid FROM pg_index WHERE indexrelid = ANY (objects) OR indrelid = ANY (objects)
          UNION ALL
          SELECT partrelid FROM pg_partitioned_table WHERE partrelid = ANY (objects) AND partexprs IS NOT NULL) AS relation(oid)
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = relation.oid
  UNION
  SELECT 'pg_proc'::regclass, rngsubdiff FROM pg_range WHERE rngtypid = ANY (objects)
  UNION
  SELECT 'pg_proc'::regclass, castfunc FROM pg_cast WHERE oid = ANY (objects)
), service_code(class, oid) AS (
  SELECT u.class, u.oid
    FROM used u JOIN pg_proc p ON u.class = 'pg_proc'::regclass AND p.oid = u.oid JOIN pg_roles r ON r.oid = p.proowner AND NOT r.rolsuper
  UNION ALL
  -- An extension's function of any type may make a row of a given type anew, and so run the checks of its fields, of which nothing
  -- is written down: hstore's populate_record does. None of PostgreSQL's own that is IMMUTABLE does.
  SELECT u.class, u.oid
    FROM used u
    JOIN pg_proc p ON u.class = 'pg_proc'::regclass AND p.oid = u.oid
    JOIN pg_type t ON t.oid = p.prorettype OR t.oid = ANY (p.proargtypes)
   WHERE p.pronamespace <> 'pg_catalog'::regnamespace AND t.typtype = 'p' AND t.typname ~ '^(any|record$)'
  UNION ALL
  SELECT u.class, u.oid
    FROM used u
    JOIN pg_operator o ON u.class = 'pg_operator'::regclass AND o.oid = u.oid
    JOIN pg_type t ON t.oid IN (o.oprleft, o.oprright, o.oprresult)
   WHERE o.oprnamespace <> 'pg_catalog'::regnamespace AND t.typtype = 'p' AND t.typname ~ '^(any|record$)'
  UNION ALL
  SELECT u.class, u.oid
    FROM used u
    JOIN pg_operator o ON u.class = 'pg_operator'::regclass AND o.oid = u.oid
    JOIN pg_proc p ON p.oid = o.oprcode
    JOIN pg_roles r ON r.oid = p.proowner AND NOT r.rolsuper
  UNION ALL
  -- A domain's checks run where something becomes one: itself, or inside a row, an array or a range.
  SELECT u.class, u.oid
    FROM used u
    JOIN pg_type t ON u.class = 'pg_type'::regclass AND t.oid = u.oid
    JOIN pg_roles r ON r.oid = t.typowner AND NOT r.rolsuper
    LEFT JOIN pg_type element ON element.oid = t.typelem AND t.typcategory = 'A'
   WHERE coalesce(element.typtype, t.typtype) IN ('d', 'c', 'r', 'm')
), part(class, oid, namespace, owner, kind, name, tree, second_tree) AS MATERIALIZED (
  -- What an object is made of, each with dependencies of its own, and with its expressions as they are stored.
  SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace, c.relowner, 'view', c.oid::regclass::text, r.ev_action, r.ev_qual
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
   WHERE r.ev_class = ANY (objects)
  UNION ALL
  SELECT 'pg_attrdef'::regclass, a.oid, c.relnamespace, c.relowner, 'default of', c.oid::regclass::text, a.adbin, NULL
    FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid
   WHERE a.adrelid = ANY (objects)
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid, k.connamespace, c.relowner, 'constraint', format('%I', k.conname), k.conbin, NULL
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
   WHERE k.conrelid = ANY (objects)
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid, k.connamespace, t.typowner, 'constraint', format('%I', k.conname), k.conbin, NULL
    FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
   WHERE k.contypid = ANY (objects)
  UNION ALL
  SELECT 'pg_trigger'::regclass, g.oid, c.relnamespace, c.relowner, 'trigger', format('%I', g.tgname), g.tgqual, NULL
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
   WHERE g.tgrelid = ANY (objects) OR g.oid = ANY (objects)
  UNION ALL
  SELECT 'pg_policy'::regclass, y.oid, c.relnamespace, c.relowner, 'policy', format('%I', y.polname), y.polqual, y.polwithcheck
    FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid
   WHERE y.polrelid = ANY (objects) OR y.oid = ANY (objects)
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid, c.relnamespace, c.relowner, 'index', c.oid::regclass::text, i.indexprs, i.indpred
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
   WHERE i.indrelid = ANY (objects) OR i.indexrelid = ANY (objects)
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid, c.relnamespace, c.relowner, 'partitioned table', c.oid::regclass::text, p.partexprs, NULL
    FROM pg_class c JOIN pg_partitioned_table p ON p.partrelid = c.oid
   WHERE c.oid = ANY (objects)
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, t.typnamespace, t.typowner, 'type', t.oid::regtype::text, t.typdefaultbin, NULL
    FROM pg_type t
   WHERE t.oid = ANY (objects)
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, p.pronamespace, p.proowner, 'function', p.oid::regprocedure::text, p.prosqlbody, p.proargdefaults
    FROM pg_proc p
   WHERE p.oid = ANY (objects)
), depending AS MATERIALIZED (
  SELECT part.kind, part.name, part.namespace, part.owner, d.classid, d.objid, d.refclassid, d.refobjid
    FROM part
    JOIN pg_roles r ON r.oid = part.owner AND NOT r.rolsuper
   CROSS JOIN LATERAL (SELECT * FROM pg_depend WHERE classid = part.class AND objid = part.oid OFFSET 0) AS d
)
SELECT 'index', c.oid::regclass::text,
       CASE s.class WHEN 'pg_proc'::regclass THEN s.oid::regprocedure::text
                    WHEN 'pg_operator'::regclass THEN s.oid::regoperator::text
                    ELSE s.oid::regtype::text END,
       'which autovacuum would run as the owner, with no session to end', 'A generated column may use it, and be indexed.'
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
  JOIN service_code s ON s.class = d.refclassid AND s.oid = d.refobjid
 WHERE i.indexrelid = ANY (objects) OR i.indrelid = ANY (objects)
UNION ALL
-- Not only IMMUTABLE functions may stand in it: some find an owner's type by its name, in a text.
SELECT 'statistics', format('%I.%I', n.nspname, e.stxname), 'an expression',
       'which autovacuum would run as the owner, with no session to end', 'A generated column may have it, and statistics.'
  FROM pg_statistic_ext e
  JOIN pg_namespace n ON n.oid = e.stxnamespace
  JOIN pg_roles r ON r.oid = e.stxowner AND NOT r.rolsuper
 WHERE (e.oid = ANY (objects) OR e.stxrelid = ANY (objects)) AND e.stxexprs IS NOT NULL
UNION ALL
-- Its constants are computed when somebody asks for the key, by psql's \d of a partition for one.
SELECT 'partitioned table', c.oid::regclass::text,
       CASE s.class WHEN 'pg_proc'::regclass THEN s.oid::regprocedure::text
                    WHEN 'pg_operator'::regclass THEN s.oid::regoperator::text
                    ELSE s.oid::regtype::text END,
       'which would run as whoever describes its partitions, the superuser too', 'Partition by a column that has the value.'
  FROM pg_partitioned_table p
  JOIN pg_class c ON c.oid = p.partrelid
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
  JOIN service_code s ON s.class = d.refclassid AND s.oid = d.refobjid AND s.oid <> c.reloftype
 WHERE p.partrelid = ANY (objects) AND p.partexprs IS NOT NULL
UNION ALL
SELECT 'range type', r.rngtypid::regtype::text, r.rngsubdiff::regprocedure::text,
       'which the planner would run as whoever reads', 'Leave it out.'
  FROM pg_range r JOIN service_code s ON s.class = 'pg_proc'::regclass AND s.oid = r.rngsubdiff
 WHERE r.rngtypid = ANY (objects)
UNION ALL
-- An estimator calls the operator's function, or that of its negator or commutator, with values from the statistics.
SELECT 'operator', o.oid::regoperator::text,
       'the estimator ' || CASE WHEN o.oprrest <> 0 THEN o.oprrest ELSE o.oprjoin END,
       'with which the planner would run it as whoever reads', 'Leave RESTRICT and JOIN out.'
  FROM pg_operator o JOIN pg_roles r ON r.oid = o.oprowner AND NOT r.rolsuper
 WHERE o.oid = ANY (objects) AND (o.oprrest <> 0 OR o.oprjoin <> 0)
UNION ALL
SELECT 'cast', format('%s AS %s', c.castsource::regtype, c.casttarget::regtype), c.castfunc::regprocedure::text,
       'which functions such as to_json would run as whoever reads', 'Write a function, and call it.'
  FROM pg_cast c JOIN service_code s ON s.class = 'pg_proc'::regclass AND s.oid = c.castfunc
 WHERE c.oid = ANY (objects)
UNION ALL
-- Any role may use a dictionary; one that leads to itself ends the server.
SELECT 'dictionary', d.oid::regdictionary::text,
       t.tmplname || ' as template', 'and is not of the platform', 'The platform makes it, in schema extensions.'
  FROM pg_ts_dict d
  JOIN pg_ts_template t ON t.oid = d.dicttemplate
  JOIN pg_roles r ON r.oid = d.dictowner AND NOT r.rolsuper
 WHERE d.oid = ANY (objects)
UNION ALL
-- Two values that are not the same may be equal in it, and a reader's own are compared with a view's.
SELECT 'collation', c.oid::regcollation::text,
       'rules of its own', 'by which a reader''s own values would be compared', 'The platform makes it, in schema extensions.'
  FROM pg_collation c JOIN pg_roles r ON r.oid = c.collowner AND NOT r.rolsuper
 WHERE c.oid = ANY (objects)
UNION ALL
SELECT 'table', t.oid::regclass::text, CASE c.oid WHEN t.oid THEN '' ELSE 'toast.' END || left(o.option, 200),
       'with which a worker of autovacuum, of which all have three, would be busy with it for days',
       'Thresholds and scale factors are yours, the speed is the server''s.'
  FROM pg_class t
  JOIN pg_class c ON c.oid IN (t.oid, t.reltoastrelid)
  JOIN pg_roles r ON r.oid = c.relowner AND NOT r.rolsuper
 CROSS JOIN unnest(c.reloptions) AS o(option)
 WHERE t.oid = ANY (objects) AND t.relkind <> 't' AND starts_with(o.option, 'autovacuum_vacuum_cost_')
UNION ALL
-- Half a megabyte of zeros before a number is stored in six kilobytes. pg_dump reads all of all tables, whichever it is asked for.
SELECT 'storage parameters', asked.oid::regclass::text, octet_length(o.options::text) || ' bytes',
       'with which a dump of anybody takes gigabytes, and could hardly be restored', 'Shorter numbers; ALTER … RESET for those that are there.'
  FROM (SELECT oid, oid FROM pg_class WHERE oid = ANY (objects)
        UNION ALL
        SELECT oid, reltoastrelid FROM pg_class WHERE oid = ANY (objects) AND reltoastrelid <> 0
        UNION ALL
        SELECT indexrelid, indexrelid FROM pg_index WHERE indrelid = ANY (objects)) AS asked(oid, of)
 CROSS JOIN LATERAL (SELECT reloptions AS options, relowner FROM pg_class WHERE oid = asked.of AND reloptions IS NOT NULL OFFSET 0) AS o
  JOIN pg_roles r ON r.oid = o.relowner AND NOT r.rolsuper
 WHERE octet_length(o.options::text) > 4000
UNION ALL
-- What ends the server is any service's doing, and then it is empty.
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid::regclass::text, 'UNLOGGED',
       'which whoever makes the server crash empties, and no base backup and no replica has',
       'Leave UNLOGGED out; ALTER … SET LOGGED for one that is there.'
  FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner AND NOT r.rolsuper
 WHERE c.oid = ANY (objects) AND c.relpersistence = 'u' AND c.relkind IN ('r', 'p', 'S')
UNION ALL
-- A row of pg_class is in one page, its acl too: where a partition's bound fills it, nobody can be granted anything on it.
SELECT 'catalog row', c.oid::regclass::text, pg_column_size(c.*) || ' bytes of a page of pg_class',
       'and leaves no room for grants, at which the plan fails for all', 'Fewer or shorter values in a partition''s bound.'
  FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner AND NOT r.rolsuper
 WHERE c.oid = ANY (objects) AND pg_column_size(c.*) > 6000
UNION ALL
-- A constant may name an object by its number ('16404'::regclass): that needs no right on it, and its owner can drop or alter it no
-- more. Whoever could name it by its name may; a view that reads its columns could when it was made.
SELECT d.kind, d.name, pg_describe_object(d.refclassid, d.refobjid, 0),
       'which is of a schema it has no right to, and could not be dropped any more', 'Write its name as text.'
  FROM depending AS d
  JOIN pg_namespace n ON n.oid = CASE d.refclassid
         WHEN 'pg_namespace'::regclass THEN d.refobjid
         WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = d.refobjid)
         WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = d.refobjid)
         WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = d.refobjid)
         WHEN 'pg_operator'::regclass THEN (SELECT oprnamespace FROM pg_operator WHERE oid = d.refobjid)
         WHEN 'pg_collation'::regclass THEN (SELECT collnamespace FROM pg_collation WHERE oid = d.refobjid)
         WHEN 'pg_ts_config'::regclass THEN (SELECT cfgnamespace FROM pg_ts_config WHERE oid = d.refobjid)
         WHEN 'pg_ts_dict'::regclass THEN (SELECT dictnamespace FROM pg_ts_dict WHERE oid = d.refobjid)
       END
 WHERE n.oid <> d.namespace AND NOT has_schema_privilege(d.owner, n.oid, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_depend c
                    WHERE c.classid = d.classid AND c.objid = d.objid AND c.refclassid = d.refclassid AND c.refobjid = d.refobjid
                      AND c.refobjsubid > 0)
UNION ALL
-- PostgreSQL writes the first argument of EXTRACT out as it is, and any text may stand there: extract('year FROM now()) > 0; DROP …' FROM …).
-- Who runs a dump's SQL would run it. Good is a word, as bytes behind the four of its length; whatever else it may be is not.
SELECT part.kind, part.name, 'EXTRACT of a text that is no word',
       'which would stand as SQL in every dump and definition of it', 'Write the field as a word: EXTRACT(year FROM …).'
  FROM part
  JOIN pg_roles r ON r.oid = part.owner AND NOT r.rolsuper
 WHERE EXISTS (
         SELECT FROM (VALUES (part.tree::text), (part.second_tree::text)) AS stored(tree)
          WHERE CASE
                  WHEN strpos(stored.tree, ':funcformat 3 ') = 0 THEN false
                  WHEN octet_length(stored.tree) > 1000000 THEN false -- refused below, by its length
                  ELSE stored.tree ~ format(
                         $re$:funcid (?:%s) [^{}]*:funcformat 3 (?![^{}]*:args \(\{CONST :consttype 25 [^{}]*:constvalue \d+ \[ $re$
                         || $re$(?:-?\d+ ){4}(?:(?:6[5-9]|[78]\d|9[05789]|1[01]\d|12[0-2]) )+\]\})$re$,
                         (SELECT string_agg(oid::text, '|') FROM pg_proc
                           WHERE proname = 'extract' AND pronamespace = 'pg_catalog'::regnamespace))
                END)
UNION ALL
-- No regular expression looks at a quarter of a gigabyte, and at hundreds of ten megabytes each the audit had no answer in time. Ten
-- megabytes of a repeated text are stored in a hundred kilobytes; an honest definition has some hundred kilobytes.
SELECT part.kind, part.name, 'EXTRACT in a definition of more than a megabyte',
       'in which it takes too long to look whether the field is a word', 'EXTRACT in a view of its own, or date_part.'
  FROM part
  JOIN pg_roles r ON r.oid = part.owner AND NOT r.rolsuper
 WHERE EXISTS (
         SELECT FROM (VALUES (part.tree::text), (part.second_tree::text)) AS stored(tree)
          CROSS JOIN (SELECT oid FROM pg_proc WHERE proname = 'extract' AND pronamespace = 'pg_catalog'::regnamespace) AS extract
          WHERE octet_length(stored.tree) > 1000000 AND strpos(stored.tree, format(':funcid %s ', extract.oid)) > 0)
UNION ALL
-- A policy names roles without their knowledge, and none that it names can be dropped any more.
SELECT 'policy', format('%I', y.polname), pg_get_userbyid(role), 'a role of somebody else, which could not be dropped any more',
       'Leave TO out, or name the service''s own roles.'
  FROM pg_policy y
  JOIN pg_class c ON c.oid = y.polrelid
  JOIN pg_roles r ON r.oid = c.relowner AND NOT r.rolsuper
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN unnest(y.polroles) AS role
 WHERE (y.oid = ANY (objects) OR y.polrelid = ANY (objects)) AND role <> 0
   AND pg_get_userbyid(role) NOT IN (n.nspname || 'own', n.nspname || 'app', n.nspname || 'user')
UNION ALL
-- pg_dump takes a list apart in a time that grows with the square of its length. The size of the column is what is stored: twenty
-- thousand times one name are compressed to less than a kilobyte.
SELECT 'function', p.oid::regprocedure::text, octet_length(p.proconfig::text) || ' bytes of settings',
       'at which no dump would end', 'Shorter ones.'
  FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner AND NOT r.rolsuper
 WHERE p.oid = ANY (objects) AND (pg_column_size(p.proconfig) > 1000 OR octet_length(p.proconfig::text) > 4000)
UNION ALL
-- Each column that a view, a check or a trigger names is a row of pg_depend, and a view can name all of a hundred tables. pg_dump has all
-- rows in memory, whichever schema it is asked for, and who drops a service follows them.
SELECT coalesce(kind, 'schema'), coalesce(name, namespace::regnamespace::text), count(*) || ' dependencies',
       'all of which each dump of anybody has in memory', 'Fewer columns of fewer tables.'
  FROM depending
 GROUP BY GROUPING SETS ((kind, name), (namespace))
HAVING count(*) > CASE GROUPING(namespace) WHEN 0 THEN 1000000 ELSE 5000 END
UNION ALL
-- Before it dumps anything of anybody, pg_dump follows each to all it is made of, in memory, pairs of hundreds of thousands at once.
SELECT 'materialized view', c.oid::regclass::text, 'more than 100 of them beside it in its schema',
       'by whose number of pairs with what they are made of no dump of anybody could be made', 'A table that a job fills does as well.'
  FROM (SELECT DISTINCT relnamespace FROM pg_class WHERE oid = ANY (objects) AND relkind = 'm' OFFSET 0) AS asked
 CROSS JOIN LATERAL (SELECT count(*) FROM pg_class WHERE relkind = 'm' AND relnamespace = asked.relnamespace OFFSET 0) AS beside(number)
  JOIN pg_class c USING (relnamespace)
 WHERE beside.number > 100 AND c.oid = ANY (objects) AND c.relkind = 'm'
$refused_objects$;
REVOKE ALL ON FUNCTION platform.refused_objects(oid[]) FROM PUBLIC;

-- What may be refused, in the given schemas.
CREATE OR REPLACE FUNCTION platform.objects_of(schemas oid[]) RETURNS oid[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $objects_of$
SELECT array_agg(object)
  FROM (SELECT oid FROM pg_class WHERE relnamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_type WHERE typnamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_proc WHERE pronamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_operator WHERE oprnamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_statistic_ext WHERE stxnamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_collation WHERE collnamespace = ANY (schemas)
        UNION ALL SELECT oid FROM pg_ts_dict WHERE dictnamespace = ANY (schemas)) AS o(object)
$objects_of$;
REVOKE ALL ON FUNCTION platform.objects_of(oid[]) FROM PUBLIC;
