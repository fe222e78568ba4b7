-- Nobody else changes roles, settings or rights while this transaction does: a role that sets its own password in a loop, or an
-- owner that alters a table in one, makes every other application fail with "tuple concurrently updated". Who waits in
-- front of a lock is served in order, so a loop gets no further.
DO $hold_catalogs$
DECLARE
  -- The catalogs this transaction changes.
  held regclass[] := ARRAY['pg_authid', 'pg_auth_members', 'pg_db_role_setting', 'pg_namespace', 'pg_class', 'pg_attribute',
                           'pg_proc', 'pg_default_acl'];
BEGIN
  FOR attempt IN 1..5 LOOP
    BEGIN
      SET LOCAL lock_timeout = '2s';
      LOCK TABLE pg_authid, pg_auth_members, pg_db_role_setting,
                 pg_namespace, pg_class, pg_attribute, pg_proc, pg_default_acl IN SHARE ROW EXCLUSIVE MODE;
      EXIT;
    EXCEPTION
      WHEN lock_not_available THEN
        IF attempt = 5 THEN RAISE; END IF;
        -- Some role has one of them for as long as it likes: by a change to itself in an open transaction, or by nextval() of
        -- the catalog, which locks before it looks. An honest statement is done with a catalog in no time.
        PERFORM pg_terminate_backend(l.pid, 1000)
           FROM pg_locks l
           JOIN pg_stat_activity a ON a.pid = l.pid
           JOIN pg_roles r ON r.oid = a.usesysid AND NOT r.rolsuper
          WHERE l.relation = ANY (held)
            AND (l.mode = 'RowExclusiveLock' AND l.granted
                 OR l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'));
      WHEN deadlock_detected THEN
        -- Autovacuum on one of them waits for pg_class, to write down what it did: it gets it now.
        IF attempt = 5 THEN RAISE; END IF;
    END;
  END LOOP;
  SET LOCAL lock_timeout = '10s';
END
$hold_catalogs$;
