-- The guard: what privileges cannot express. Event triggers belong to the superuser, so no service can drop or disable
-- them; they exist in this database only, and PUBLIC may connect to no other.
-- Never ENABLE ALWAYS: whoever restores by hand may set session_replication_role = replica.
-- What they cannot see: EXPLAIN ANALYZE of CREATE TABLE AS, for which PostgreSQL 16 fires no event trigger. The effect
-- test names what came in that way, and no column can be altered in it.

-- A service's schema is one that the role platform owns; its tier roles are called like it. No list to maintain.
CREATE OR REPLACE FUNCTION platform.enforce_prefix() RETURNS event_trigger
LANGUAGE plpgsql
-- Without it an owner's own starts_with() would decide.
SET search_path = pg_catalog, pg_temp
AS $enforce_prefix$
DECLARE
  touched oid[];
  schemas oid[];
  bad record;
BEGIN
  -- A restore (agent/restore/owner-login.ts) makes a sequence before the column it belongs to; the audit looks at what has come.
  IF session_user ~ 'own_restore_[0-9a-f]{8}$' THEN
    RETURN;
  END IF;
  -- By catalog and number: object_identity is text that an owner chooses.
  SELECT array_agg(c.oid), array_agg(c.relnamespace) INTO touched, schemas
    FROM pg_event_trigger_ddl_commands() d
    JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND c.oid = d.objid;
  -- What a refresh's own query creates is not reported to event triggers: look at the whole schema.
  IF tg_tag = 'REFRESH MATERIALIZED VIEW' THEN
    SELECT array_agg(oid) INTO touched FROM pg_class WHERE relnamespace = ANY (schemas);
  END IF;
  SELECT n.nspname, c.relname,
         CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind
    INTO bad
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = ANY (touched)
     AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
     AND n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = 'platform')
     AND NOT starts_with(c.relname::text, n.nspname || '_')
     -- Free: what an extension brings, and the sequence of an identity or serial column.
     AND NOT EXISTS (
           SELECT FROM pg_depend p
            WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.objsubid = 0
              AND (p.deptype = 'e'
                   OR c.relkind = 'S' AND p.deptype IN ('a', 'i')
                      AND p.refclassid = 'pg_class'::regclass AND p.refobjsubid > 0))
   ORDER BY c.relname
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'invalid_name',
      MESSAGE = format('%s %I.%I lacks the prefix of its schema', bad.kind, bad.nspname, bad.relname),
      HINT = format('Call it %I.%I.', bad.nspname, bad.nspname || '_' || bad.relname);
  END IF;
END
$enforce_prefix$;
REVOKE ALL ON FUNCTION platform.enforce_prefix() FROM PUBLIC;

CREATE OR REPLACE FUNCTION platform.refuse_commands() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $refuse_commands$
DECLARE
  tier text;
  why text;
  cure text;
BEGIN
  SELECT CASE WHEN bool_or(actor.rolname = current_user AND t.suffix <> 'own') THEN 'other' ELSE 'own' END INTO tier
    FROM pg_roles actor
    JOIN pg_namespace n ON n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = 'platform')
   CROSS JOIN (VALUES ('own'), ('app'), ('user')) AS t(suffix)
    JOIN pg_roles role ON role.rolname = n.nspname || t.suffix
   -- Both users count. SET ROLE and SECURITY DEFINER change current_user and leave session_user; where autovacuum or a
   -- superuser runs the function of an owner's index, session_user is postgres and current_user the owner.
   WHERE actor.rolname IN (session_user, current_user)
     AND NOT actor.rolsuper
     AND pg_has_role(actor.oid, role.oid, 'MEMBER')
  HAVING count(*) > 0;
  IF tier IS NULL THEN
    RETURN;
  END IF;
  IF tg_tag IN ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES', 'DROP OWNED') THEN
    why := 'grants come from services/registry.ts';
    cure := 'Declare it there; the platform applies it.';
  ELSIF tg_tag IN ('CREATE CAST', 'CREATE TRANSFORM', 'CREATE CONVERSION') THEN
    why := 'its code would run as whoever reads';
    cure := 'Write a function, and call it.';
  ELSIF tg_tag = 'CREATE COLLATION' THEN
    why := 'it would decide what a reader''s own values are equal to';
    cure := 'The platform makes it, in schema extensions.';
  ELSIF tg_tag IN ('CREATE TEXT SEARCH DICTIONARY', 'ALTER TEXT SEARCH DICTIONARY') THEN
    why := 'one that leads to itself ends the server';
    cure := 'The platform makes it, in schema extensions.';
  -- These wait for the lock on any table, catalog or schema, and everybody behind them, before they ask whose it is.
  ELSIF tg_tag = 'CREATE RULE' THEN
    why := 'it would lock what is not its own';
    cure := 'A trigger does the same, INSTEAD OF on a view.';
  ELSIF tg_tag = 'DROP SCHEMA' THEN
    why := 'it would lock what is not its own';
    cure := 'Drop what is in it: schemas are of the platform.';
  ELSIF tier = 'other' AND tg_tag IN ('CREATE TRIGGER', 'ALTER TABLE', 'ALTER INDEX', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
                                      'ALTER SEQUENCE', 'ALTER FOREIGN TABLE', 'COMMENT', 'SECURITY LABEL', 'CREATE STATISTICS') THEN
    why := 'it would lock what is not its own';
    cure := 'Migrations run as the owner.';
  ELSIF tg_tag = 'CREATE INDEX' AND tier = 'own' THEN
    -- It leaves the index behind where the guard refuses its code, and can be stopped halfway. It stands alone in its text: plain
    -- columns, and conditions that call nothing (table.name may be a function of that table).
    -- An expression of its own: who reads another service may not call current_query.
    IF current_query() ~* 'concurrently' AND NOT (
       current_query() !~ $re$['$]|--|/\*$re$
       AND regexp_replace(current_query(), '"[^"]*"', 'x', 'g')
           ~* $re$^\s*CREATE\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY[^()]*\([^()]*\)(\s*INCLUDE\s*\([^()]*\))?(\s*NULLS\s+(NOT\s+)?DISTINCT)?(\s*WITH\s*\([^()]*\))?(\s*WHERE\s+\w+(\s+IS\s+(NOT\s+)?NULL)?(\s+(AND|OR)\s+\w+(\s+IS\s+(NOT\s+)?NULL)?)*)?\s*;?\s*$$re$)
    THEN
      why := 'CONCURRENTLY is for columns, and for WHERE with columns that are true or IS NULL';
      cure := 'Without CONCURRENTLY it may have expressions; a generated column can be indexed.';
    END IF;
  END IF;
  IF why IS NULL THEN
    -- So does DDL of owners (ALTER TABLE … DETACH PARTITION of a catalog), as long as they like: no longer than by the plan.
    IF current_setting('lock_timeout')::interval NOT BETWEEN '1 ms' AND '10 s' THEN
      SET LOCAL lock_timeout = '10s';
    END IF;
    RETURN;
  END IF;
  RAISE EXCEPTION USING
    ERRCODE = 'insufficient_privilege',
    MESSAGE = format('%s is not for %s: %s', tg_tag, current_user, why),
    HINT = cure;
END
$refuse_commands$;
REVOKE ALL ON FUNCTION platform.refuse_commands() FROM PUBLIC;

CREATE OR REPLACE FUNCTION platform.refuse_objects() RETURNS event_trigger
LANGUAGE plpgsql
-- Nobody may call the function it asks. It reads catalogs and calls nothing that is an owner's.
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $refuse_objects$
DECLARE
  touched oid[];
  schemas oid[];
  bad record;
BEGIN
  -- The plan's grants touch no object of a kind that is refused.
  IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE objid IS NOT NULL) THEN
    RETURN;
  END IF;
  -- In another the guard would look with a snapshot that is older than what the statement uses.
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = format('%s is not for a transaction that is %s', tg_tag, upper(current_setting('transaction_isolation'))),
      HINT = 'Migrations run in READ COMMITTED, the default.';
  END IF;
  SELECT array_agg(d.objid), array_agg(n.oid) INTO touched, schemas
    FROM pg_event_trigger_ddl_commands() d
    LEFT JOIN pg_namespace n ON n.nspname = d.schema_name;
  -- The whole schema: what a refresh's own query creates is not reported to event triggers, nor are a table's children and what
  -- is of a type, whose expressions are read anew with the new type.
  IF tg_tag IN ('REFRESH MATERIALIZED VIEW', 'ALTER TABLE', 'ALTER TYPE') THEN
    touched := touched || platform.objects_of(schemas);
  END IF;
  SELECT kind, name, uses, why, cure INTO bad
    FROM platform.refused_objects(touched)
   -- One that was there before this transaction keeps no other from being altered; what a dump has comes back, and the audit names it.
   WHERE uses <> 'UNLOGGED'
      OR session_user !~ 'own_restore_[0-9a-f]{8}$'
         AND name IN (SELECT oid::regclass::text FROM pg_class WHERE age(xmin) <= age(pg_current_xact_id()::xid))
   ORDER BY name, uses
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('%s %s uses %s, %s', bad.kind, bad.name, bad.uses, bad.why),
      HINT = bad.cure;
  END IF;
END
$refuse_objects$;
REVOKE ALL ON FUNCTION platform.refuse_objects() FROM PUBLIC;

-- What is as it should be stays: dropping one waits for whoever has looked it up in an open transaction.
DO $event_triggers$
DECLARE
  trigger name;
BEGIN
  FOR trigger IN
    SELECT evtname FROM pg_event_trigger
     WHERE evtname IN ('enforce_prefix', 'refuse_commands', 'refuse_objects')
       AND NOT (evtenabled = 'O' AND evttags IS NULL AND evtfoid = format('platform.%I', evtname)::regproc
                AND evtevent = CASE evtname WHEN 'refuse_commands' THEN 'ddl_command_start' ELSE 'ddl_command_end' END)
  LOOP
    EXECUTE format('DROP EVENT TRIGGER %I', trigger);
  END LOOP;
  -- No WHEN TAG on the first: ALTER INDEX … RENAME renames tables and views too.
  IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'enforce_prefix') THEN
    CREATE EVENT TRIGGER enforce_prefix ON ddl_command_end EXECUTE FUNCTION platform.enforce_prefix();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'refuse_commands') THEN
    CREATE EVENT TRIGGER refuse_commands ON ddl_command_start EXECUTE FUNCTION platform.refuse_commands();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'refuse_objects') THEN
    CREATE EVENT TRIGGER refuse_objects ON ddl_command_end EXECUTE FUNCTION platform.refuse_objects();
  END IF;
END
$event_triggers$;
