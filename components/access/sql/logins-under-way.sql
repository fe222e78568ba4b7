-- Who is being let in at this moment. pg_stat_activity shows a session only when its login is over, and whoever logs in can
-- make that take long: by post_auth_delay, or by a setting of its role that takes seconds to read. The login is a
-- transaction, which pg_locks shows.
SELECT virtualtransaction AS login, pid
  FROM pg_locks l
 WHERE locktype = 'virtualxid' AND granted
   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid);
