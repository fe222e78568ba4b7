-- Nobody else changes roles, settings or rights while this transaction does: a role that sets its own password in a loop, or an
-- owner that alters a table in one, makes every other application fail with "tuple concurrently updated". Who waits in
-- front of a lock is served in order, so a loop gets no further.
DO $hold_catalogs$
BEGIN
  FOR attempt IN 1..5 LOOP
    BEGIN
      -- A role can hold these for ever by a change to itself in an open transaction. Nothing honest does that.
      SET LOCAL lock_timeout = '2s';
      LOCK TABLE pg_authid, pg_auth_members, pg_db_role_setting IN SHARE ROW EXCLUSIVE MODE;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF attempt = 5 THEN RAISE; END IF;
      PERFORM pg_terminate_backend(l.pid, 1000)
         FROM pg_locks l
         JOIN pg_stat_activity a ON a.pid = l.pid
         JOIN pg_roles r ON r.oid = a.usesysid AND NOT r.rolsuper
        WHERE l.relation IN ('pg_authid'::regclass, 'pg_auth_members'::regclass, 'pg_db_role_setting'::regclass)
          AND l.mode = 'RowExclusiveLock' AND l.granted;
    END;
  END LOOP;
  SET LOCAL lock_timeout = '10s';
  FOR attempt IN 1..5 LOOP
    BEGIN
      LOCK TABLE pg_namespace, pg_class, pg_attribute, pg_proc, pg_default_acl IN SHARE ROW EXCLUSIVE MODE;
      EXIT;
    EXCEPTION WHEN deadlock_detected THEN
      -- Autovacuum on one of them waits for pg_class, to write down what it did: it gets it now.
      IF attempt = 5 THEN RAISE; END IF;
    END;
  END LOOP;
END
$hold_catalogs$;
