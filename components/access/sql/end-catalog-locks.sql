-- Ends whoever holds or asks for a strong lock on a catalog: DDL on one asks for it before it is refused, and an owner can make
-- that last as long as it likes. No honest statement of a service asks for one. Nothing is looked up that such a lock keeps from
-- being read: a catalog is a number below 16384, the first superuser is 10. On pg_authid it keeps this from being run, as it
-- keeps everybody from logging in: npm run ops -- end-sessions.
SELECT pg_terminate_backend(pid)
  FROM (SELECT DISTINCT l.pid
          FROM pg_lock_status() l, pg_stat_get_activity(NULL) a, pg_stat_get_activity(pg_backend_pid()) me
         WHERE a.pid = l.pid AND a.usesysid NOT IN (10, me.usesysid)
           AND l.relation < 16384
           AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                          'AccessExclusiveLock')
        OFFSET 0) holder;
-- At once, in front of whoever comes back: the next statement is written in a language.
LOCK TABLE pg_catalog.pg_language IN ROW EXCLUSIVE MODE;
