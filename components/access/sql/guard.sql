-- The guard: what privileges cannot express. Event triggers belong to the superuser, so no service can drop or disable
-- them; they exist in this database only, and PUBLIC may connect to no other.
-- Never ENABLE ALWAYS: restores run with session_replication_role = replica.

-- A service's schema is one that the role platform owns; a tier role is a member of platform_tiers. No list to maintain.
CREATE OR REPLACE FUNCTION platform.enforce_prefix() RETURNS event_trigger
LANGUAGE plpgsql
-- Without it an owner's own starts_with() would decide.
SET search_path = pg_catalog, pg_temp
AS $enforce_prefix$
DECLARE
  bad record;
BEGIN
  SELECT n.nspname, c.relname,
         CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind
    INTO bad
    FROM pg_event_trigger_ddl_commands() d
    -- By catalog and number: object_identity is text that an owner chooses.
    JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND c.oid = d.objid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
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

CREATE OR REPLACE FUNCTION platform.refuse_grants() RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $refuse_grants$
BEGIN
  -- session_user: SET ROLE and SECURITY DEFINER do not change it. A superuser is a member of everything, hence the first test.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
     AND pg_has_role(session_user, 'platform_tiers', 'MEMBER') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'insufficient_privilege',
      MESSAGE = format('%s is not for %s: grants come from services/registry.ts', tg_tag, session_user),
      HINT = 'Declare it there; the platform applies it.';
  END IF;
END
$refuse_grants$;
REVOKE ALL ON FUNCTION platform.refuse_grants() FROM PUBLIC;

-- No WHEN TAG on the first: ALTER INDEX … RENAME renames tables and views too.
DROP EVENT TRIGGER IF EXISTS enforce_prefix;
CREATE EVENT TRIGGER enforce_prefix ON ddl_command_end EXECUTE FUNCTION platform.enforce_prefix();
-- PostgreSQL 16 fires no event trigger for REASSIGN OWNED. An owner can give its tables to platform_owners by it, which
-- hands them to nobody: the other members have no USAGE on the schema (a live test tries).
DROP EVENT TRIGGER IF EXISTS refuse_grants;
CREATE EVENT TRIGGER refuse_grants ON ddl_command_start
  WHEN TAG IN ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES', 'DROP OWNED')
  EXECUTE FUNCTION platform.refuse_grants();
