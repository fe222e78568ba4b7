-- Nobody else changes roles, settings or rights while this transaction does: a role that sets its own password in a loop, or an
-- owner that alters a table in one, makes every other application fail with "tuple concurrently updated". Who waits in
-- front of a lock is served in order, so a loop gets no further. One after the other: what is held stays held while whoever
-- has the next one is ended.
DO $hold_catalogs$
DECLARE
  catalog regclass;
BEGIN
  FOREACH catalog IN ARRAY ARRAY['pg_authid', 'pg_auth_members', 'pg_db_role_setting', 'pg_namespace', 'pg_class', 'pg_attribute',
                                 'pg_proc', 'pg_default_acl']::regclass[]
  LOOP
    FOR attempt IN 1..5 LOOP
      BEGIN
        SET LOCAL lock_timeout = '2s';
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', catalog);
        EXIT;
      EXCEPTION
        WHEN lock_not_available THEN
          IF attempt = 5 THEN RAISE; END IF;
          -- Some role has it for as long as it likes: by a change to itself in an open transaction, by nextval() of the catalog or DDL
          -- on it, which lock before they look. An honest statement is done with a catalog in no time. Without waiting for their
          -- end: who comes back must find this transaction in front.
          PERFORM pg_terminate_backend(l.pid)
             FROM pg_locks l
             JOIN pg_stat_activity a ON a.pid = l.pid
             JOIN pg_roles r ON r.oid = a.usesysid AND NOT r.rolsuper
            WHERE l.relation = catalog
              AND (l.mode = 'RowExclusiveLock' AND l.granted
                   OR l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                 'AccessExclusiveLock'));
        WHEN deadlock_detected THEN
          -- Autovacuum on one of them waits for pg_class, to write down what it did: it gets it now.
          IF attempt = 5 THEN RAISE; END IF;
      END;
    END LOOP;
  END LOOP;
  SET LOCAL lock_timeout = '10s';
END
$hold_catalogs$;
