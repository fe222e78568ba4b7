-- Nobody else changes roles, settings or rights while this transaction does: a role that sets its own password in a loop, or an
-- owner that alters a table in one, makes every other application fail with "tuple concurrently updated". Who waits in
-- front of a lock is served in order, so a loop gets no further. One after the other: what is held stays held while whoever
-- has the next one is ended. All other catalogs are held too, as a writer holds them: nothing of this transaction waits for a
-- lock that somebody has asked for since, also where whoever is ended comes back at once.
DO $hold_catalogs$
DECLARE
  changed constant regclass[] := ARRAY['pg_authid', 'pg_auth_members', 'pg_db_role_setting', 'pg_namespace', 'pg_class', 'pg_attribute',
                                       'pg_proc', 'pg_default_acl'];
  catalog regclass;
BEGIN
  FOR catalog IN
    SELECT c.oid FROM pg_class c
     WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
     ORDER BY array_position(changed, c.oid::regclass), c.oid
  LOOP
    FOR attempt IN 1..5 LOOP
      BEGIN
        SET LOCAL lock_timeout = '2s';
        EXECUTE format('LOCK TABLE %s IN %s MODE', catalog,
                       CASE WHEN catalog = ANY (changed) THEN 'SHARE ROW EXCLUSIVE' ELSE 'ROW EXCLUSIVE' END);
        EXIT;
      EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
          IF attempt = 5 THEN RAISE; END IF;
          -- Some role has it for as long as it likes: by a change to itself in an open transaction, by nextval() of the catalog or DDL
          -- on it, which lock before they look. An honest statement is done with a catalog in no time. Without waiting for their
          -- end: who comes back must find this transaction in front. Nothing is looked up in a catalog that may be locked. Autovacuum,
          -- which deadlocks where it has one and waits for pg_class, is nobody's session: it gets what it wants at the next attempt.
          PERFORM pg_stat_clear_snapshot(); -- or whoever has logged in since this transaction began is not seen
          PERFORM pg_terminate_backend(holder.pid)
             FROM (SELECT DISTINCT l.pid
                     FROM pg_lock_status() l, pg_stat_get_activity(NULL) a, pg_stat_get_activity(pg_backend_pid()) me
                    WHERE a.pid = l.pid AND a.usesysid NOT IN (10, me.usesysid)
                      AND (l.relation = catalog AND l.mode = 'RowExclusiveLock' AND l.granted AND catalog = ANY (changed)
                           -- On any catalog, and on their indexes, which cannot be locked in front.
                           OR l.relation < 16384 AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                         'AccessExclusiveLock'))
                   OFFSET 0) holder;
      END;
    END LOOP;
  END LOOP;
  SET LOCAL lock_timeout = '10s';
END
$hold_catalogs$;

-- The row of this database too: GRANT and REVOKE on it, for which any privilege is enough, change it for whoever asks, and give no right.
-- The catalog's lock is let go at once, so its table cannot be held in front; who has the row is known by the row alone.
DO $hold_database$
BEGIN
  FOR attempt IN 1..5 LOOP
    BEGIN
      SET LOCAL lock_timeout = '1s';
      PERFORM FROM pg_database WHERE datname = current_database() FOR NO KEY UPDATE;
      -- Changed at once: who waits for the row now (VACUUM, for its numbers) waits for what it was, and not in front of the plan's grants.
      EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
      EXIT;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        IF attempt = 5 THEN RAISE; END IF;
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(holder.pid)
           FROM (SELECT DISTINCT l.pid
                   FROM pg_lock_status() l, pg_database d, pg_stat_get_activity(NULL) a
                  WHERE d.datname = current_database() AND l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'
                    AND l.transactionid = d.xmax AND a.pid = l.pid AND a.usesysid <> 10
                 OFFSET 0) holder;
    END;
  END LOOP;
  SET LOCAL lock_timeout = '10s';
END
$hold_database$;
