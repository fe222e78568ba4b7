-- Who is being let in at this moment. pg_stat_activity shows a session only when its login is over, after the settings of
-- its role; a role can make those so long that its login takes seconds. The login is a transaction: pg_locks shows that.
SELECT virtualtransaction AS login
  FROM pg_locks l
 WHERE locktype = 'virtualxid' AND granted
   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid);
