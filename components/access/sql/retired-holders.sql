-- Who holds or waits for a lock on what is dropped: any role can have one on any relation, by its number (nextval() locks before it looks),
-- and keep it as long as it likes.
CREATE TEMP VIEW retired_holder AS
SELECT l.pid, coalesce(r.rolname, a.backend_type) AS who, l.mode, l.granted, l.classid, l.objid,
       -- A service's schema is one that the role platform owns; see guard.sql. The logins of a restore are the owner's.
       EXISTS (SELECT FROM pg_namespace n
                WHERE pg_get_userbyid(n.nspowner) = 'platform'
                  AND split_part(r.rolname, '_restore_', 1) IN (n.nspname || 'own', n.nspname || 'app', n.nspname || 'user')
                  AND NOT r.rolsuper) AS is_service
  FROM (SELECT pid, mode, granted, coalesce(classid, 'pg_class'::regclass) AS classid, coalesce(relation, objid) AS objid
          FROM pg_lock_status()
         WHERE locktype IN ('relation', 'object') AND pid <> pg_backend_pid()
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) l
  JOIN pg_temp.retired_part p ON p.classid = l.classid AND p.objid = l.objid
  JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid
  LEFT JOIN pg_roles r ON r.oid = a.usesysid;

-- Services' sessions, without waiting for their end: who comes back must find this transaction in front.
CREATE OR REPLACE FUNCTION pg_temp.end_retired_holders() RETURNS void
LANGUAGE plpgsql
AS $end_retired_holders$
BEGIN
  PERFORM pg_stat_clear_snapshot(); -- or whoever has come since this transaction began is not seen
  PERFORM pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM pg_temp.retired_holder WHERE is_service OFFSET 0) holder;
END
$end_retired_holders$;

-- Runs a statement that drops; names who keeps it from doing so, where that is nobody of a service: a dump, a person.
CREATE OR REPLACE FUNCTION pg_temp.run_retired(statement text) RETURNS void
LANGUAGE plpgsql
AS $run_retired$
DECLARE
  holders text;
BEGIN
  FOR attempt IN 1..5 LOOP
    BEGIN
      EXECUTE statement;
      RETURN;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        IF attempt = 5 THEN
          PERFORM pg_stat_clear_snapshot();
          SELECT string_agg(DISTINCT format('%s (process %s) has %s on %s', h.who, h.pid, h.mode, pg_describe_object(h.classid, h.objid, 0)), ', ')
            INTO holders FROM pg_temp.retired_holder h WHERE h.granted;
          IF holders IS NULL THEN RAISE; END IF;
          RAISE EXCEPTION 'locked by others: %', holders
            USING ERRCODE = 'lock_not_available', HINT = 'SELECT pg_terminate_backend(number of the process) ends it.';
        END IF;
        PERFORM pg_temp.end_retired_holders();
    END;
  END LOOP;
END
$run_retired$;
