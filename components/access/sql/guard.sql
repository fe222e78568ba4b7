-- The guard: what privileges cannot express. Event triggers belong to the superuser, so no service can drop or disable
-- them; they exist in this database only, and PUBLIC may connect to no other.
-- Never ENABLE ALWAYS: restores run with session_replication_role = replica.
-- What they cannot see: EXPLAIN ANALYZE of CREATE TABLE AS, for which PostgreSQL 16 fires no event trigger. The effect
-- test names what came in that way, and nothing can be altered in it but its name.

-- A service's schema is one that the role platform owns; its tier roles are called like it. No list to maintain.
CREATE OR REPLACE FUNCTION platform.enforce_prefix() RETURNS event_trigger
LANGUAGE plpgsql
-- Without it an owner's own starts_with() would decide.
SET search_path = pg_catalog, pg_temp
AS $enforce_prefix$
DECLARE
  bad record;
BEGIN
  WITH touched AS (
    -- By catalog and number: object_identity is text that an owner chooses.
    SELECT c.oid, c.relnamespace
      FROM pg_event_trigger_ddl_commands() d
      JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND c.oid = d.objid
  )
  SELECT n.nspname, c.relname,
         CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind
    INTO bad
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE (c.oid IN (SELECT oid FROM touched)
          -- What a refresh's own query creates is not reported to event triggers: look at the whole schema.
          OR tg_tag = 'REFRESH MATERIALIZED VIEW' AND c.relnamespace IN (SELECT relnamespace FROM touched))
     AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
     AND n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = 'platform')
     AND NOT starts_with(c.relname::text, n.nspname || '_')
     -- Free: what an extension brings, and the sequence of an identity or serial column (in a snapshot that is not older
     -- than the sequence's release from its column).
     AND NOT EXISTS (
           SELECT FROM pg_depend p
            WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.objsubid = 0
              AND (p.deptype = 'e'
                   OR c.relkind = 'S' AND p.deptype IN ('a', 'i')
                      AND p.refclassid = 'pg_class'::regclass AND p.refobjsubid > 0
                      AND current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')))
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

CREATE OR REPLACE FUNCTION platform.refuse_grants() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $refuse_grants$
BEGIN
  -- Both users count. SET ROLE and SECURITY DEFINER change current_user and leave session_user; where autovacuum or a
  -- superuser runs the function of an owner's index, session_user is postgres and current_user the owner.
  IF EXISTS (
       SELECT FROM pg_roles actor
         JOIN pg_namespace n ON n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = 'platform')
         JOIN pg_roles tier ON tier.rolname IN (n.nspname || 'own', n.nspname || 'app', n.nspname || 'user')
        WHERE actor.rolname IN (session_user, current_user)
          AND NOT actor.rolsuper
          AND pg_has_role(actor.oid, tier.oid, 'MEMBER'))
  THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('%s is not for %s: %s', tg_tag, current_user,
                       CASE WHEN tg_tag IN ('CREATE CAST', 'CREATE TRANSFORM', 'CREATE CONVERSION')
                            THEN 'its code would run as whoever reads' ELSE 'grants come from services/registry.ts' END),
      HINT = CASE WHEN tg_tag IN ('CREATE CAST', 'CREATE TRANSFORM', 'CREATE CONVERSION')
                  THEN 'Write a function, and call it.' ELSE 'Declare it there; the platform applies it.' END;
  END IF;
END
$refuse_grants$;
REVOKE ALL ON FUNCTION platform.refuse_grants() FROM PUBLIC;

CREATE OR REPLACE FUNCTION platform.refuse_borrowed_code() RETURNS event_trigger
LANGUAGE plpgsql
-- Nobody sees the schema of the view. It reads catalogs and calls nothing that is an owner's.
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $refuse_borrowed_code$
DECLARE
  bad record;
BEGIN
  WITH touched AS MATERIALIZED (SELECT objid FROM pg_event_trigger_ddl_commands())
  SELECT kind, name, code INTO bad
    FROM platform.borrowed_code
   WHERE object IN (SELECT objid FROM touched) OR relation IN (SELECT objid FROM touched)
   ORDER BY name, code
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'invalid_name',
      MESSAGE = format('%s %s uses %s, which would run without a session of its own or as somebody else', bad.kind, bad.name, bad.code),
      HINT = 'A generated column may use it, and be indexed.';
  END IF;
END
$refuse_borrowed_code$;
REVOKE ALL ON FUNCTION platform.refuse_borrowed_code() FROM PUBLIC;

-- No WHEN TAG on the first: ALTER INDEX … RENAME renames tables and views too.
DROP EVENT TRIGGER IF EXISTS enforce_prefix;
CREATE EVENT TRIGGER enforce_prefix ON ddl_command_end EXECUTE FUNCTION platform.enforce_prefix();
DROP EVENT TRIGGER IF EXISTS refuse_grants;
CREATE EVENT TRIGGER refuse_grants ON ddl_command_start
  WHEN TAG IN ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES', 'DROP OWNED', 'CREATE CAST', 'CREATE TRANSFORM', 'CREATE CONVERSION')
  EXECUTE FUNCTION platform.refuse_grants();
DROP EVENT TRIGGER IF EXISTS refuse_borrowed_code;
CREATE EVENT TRIGGER refuse_borrowed_code ON ddl_command_end EXECUTE FUNCTION platform.refuse_borrowed_code();
