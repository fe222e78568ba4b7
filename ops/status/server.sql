-- What one server says of itself, as one JSON object; as role app, which reads statistics and no service's relation.
SET lock_timeout = '5s';
SET statement_timeout = '30s';
SELECT json_build_object(
  'version', current_setting('server_version'),
  'role', CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END,
  'startedAt', pg_postmaster_start_time(),
  'maxConnections', current_setting('max_connections')::int,
  'connections', (
    SELECT coalesce(json_agg(json_build_object('role', r.rolname, 'used', coalesce(a.used, 0), 'limit', r.rolconnlimit)
                             ORDER BY r.rolname), '[]')
      FROM pg_roles r
      LEFT JOIN (SELECT usesysid, count(*) AS used FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1) a
        ON a.usesysid = r.oid
     WHERE r.rolcanlogin),
  'standbys', (
    SELECT coalesce(json_agg(json_build_object(
             'name', application_name, 'state', state,
             'lagBytes', CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) END,
             'lagSeconds', extract(epoch FROM coalesce(replay_lag, '0'))) ORDER BY application_name), '[]')
      FROM pg_stat_replication
     WHERE application_name <> 'centraldb-backup'),
  -- How old what it replays is, where it has more and stands still: a session of the standby's keeps it waiting.
  'replayWaitSeconds', coalesce((
    SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
      FROM (SELECT pg_last_wal_replay_lsn() AS replayed, pg_sleep(0.3)) AS before
     WHERE pg_is_in_recovery() AND pg_last_wal_receive_lsn() > replayed AND pg_last_wal_replay_lsn() = replayed), 0),
  'slots', (
    SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active, 'walStatus', wal_status)
                             ORDER BY slot_name), '[]')
      FROM pg_replication_slots),
  'databaseBytes', pg_database_size(current_database()),
  'walBytes', (SELECT sum(size) FROM pg_ls_waldir()),
  -- With indexes and TOAST tables; a table's row type and its array are no more than the table, and a function is one with all its
  -- parameters. By what each catalog says of itself: who depends on a schema may be another's. How large they are files.sql asks.
  'schemas', (
    SELECT coalesce(json_agg(json_build_object('name', n.nspname, 'objects', coalesce(objects, 0), 'materializedViews', coalesce(views, 0))
                             ORDER BY n.nspname), '[]')
      FROM pg_namespace n
      LEFT JOIN (SELECT namespace, sum(number) AS objects, sum(views) AS views
                   FROM (SELECT relnamespace AS namespace, count(*) + count(*) FILTER (WHERE reltoastrelid <> 0) AS number,
                                count(*) FILTER (WHERE relkind = 'm') AS views
                           FROM pg_class GROUP BY 1
                         UNION ALL SELECT pronamespace, count(*), 0 FROM pg_proc GROUP BY 1
                         UNION ALL SELECT typnamespace, count(*), 0 FROM pg_type WHERE typtype <> 'c' AND NOT (typtype = 'b' AND typcategory = 'A') GROUP BY 1
                         UNION ALL SELECT oprnamespace, count(*), 0 FROM pg_operator GROUP BY 1
                         UNION ALL SELECT opcnamespace, count(*), 0 FROM pg_opclass GROUP BY 1
                         UNION ALL SELECT opfnamespace, count(*), 0 FROM pg_opfamily GROUP BY 1
                         UNION ALL SELECT cfgnamespace, count(*), 0 FROM pg_ts_config GROUP BY 1
                         UNION ALL SELECT stxnamespace, count(*), 0 FROM pg_statistic_ext GROUP BY 1) AS of_catalog
                  GROUP BY 1) AS counted ON counted.namespace = n.oid
     WHERE pg_get_userbyid(n.nspowner) = 'platform'),
  -- A view, a check or a trigger has one on each column it names: a hundred of them made twenty million, which pg_dump has in memory whatever
  -- it is asked for. Where they are many, those in some two hundred pages of them tell whose they are.
  'dependencies', (
    SELECT coalesce(json_agg(json_build_object('schema', nspname, 'number', number) ORDER BY number DESC, nspname), '[]')
      FROM (SELECT n.nspname, round(count(*) * greatest(1, size.pages / 200.0))::bigint AS number
              FROM (SELECT pg_relation_size('pg_depend') / current_setting('block_size')::int AS pages) AS size
             CROSS JOIN pg_depend d TABLESAMPLE SYSTEM (
                     least(100, 20000.0 / greatest(1, pg_relation_size('pg_depend') / current_setting('block_size')::int)))
              JOIN pg_namespace n ON n.oid = CASE d.classid
                     WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = d.objid)
                     WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = d.objid)
                     WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = d.objid)
                     WHEN 'pg_rewrite'::regclass THEN (SELECT relnamespace FROM pg_class JOIN pg_rewrite r ON ev_class = pg_class.oid WHERE r.oid = d.objid)
                     WHEN 'pg_attrdef'::regclass THEN (SELECT relnamespace FROM pg_class JOIN pg_attrdef a ON adrelid = pg_class.oid WHERE a.oid = d.objid)
                     WHEN 'pg_trigger'::regclass THEN (SELECT relnamespace FROM pg_class JOIN pg_trigger t ON tgrelid = pg_class.oid WHERE t.oid = d.objid)
                     WHEN 'pg_policy'::regclass THEN (SELECT relnamespace FROM pg_class JOIN pg_policy p ON polrelid = pg_class.oid WHERE p.oid = d.objid)
                     WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = d.objid)
                   END
             WHERE size.pages > 10000 AND pg_get_userbyid(n.nspowner) = 'platform'
             GROUP BY 1, size.pages) AS counted),
  -- Of services that are restored in place, or were when that was killed; see set-aside.ts.
  'setAside', (
    SELECT coalesce(json_agg(nspname ORDER BY nspname), '[]')
      FROM pg_namespace
     WHERE nspowner = 'postgres'::regrole
       AND obj_description(oid, 'pg_namespace') = 'centraldb: set aside, to be restored in its place'),
  -- Only what was noted when the stack set it; see note-passwords.sql. A verifier is 133 characters; a role may give itself one of
  -- megabytes, or none, which let nobody in.
  'passwords', (
    SELECT coalesce(json_agg(json_build_object('role', rolname, 'since', since,
                             'ours', rolpassword IS NOT NULL AND octet_length(rolpassword) < 1000
                                     AND fingerprint = encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex')) ORDER BY rolname), '[]')
      FROM platform.password JOIN pg_authid ON rolname = role),
  'oldestTransaction', (
    SELECT json_build_object('role', usename, 'seconds', extract(epoch FROM clock_timestamp() - xact_start))
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
     ORDER BY xact_start LIMIT 1),
  -- A login that takes its time (post_auth_delay) is a transaction that pg_stat_activity does not show.
  'hiddenLogins', (
    SELECT count(*) FROM pg_locks
     WHERE locktype = 'virtualxid' AND granted AND pid NOT IN (SELECT pid FROM pg_stat_activity)),
  'transactionIdAge', (SELECT max(greatest(age(datfrozenxid), mxid_age(datminmxid))) FROM pg_database),
  -- Of the worker: each table is a transaction of its own.
  'longestAutovacuum', (
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - backend_start)), 0)
      FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'),
  'notificationQueue', CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_notification_queue_usage() END,
  -- Of SERIALIZABLE transactions; the table is as large as PostgreSQL makes it of these settings, and somewhat larger.
  'predicateLocks', (
    SELECT count(*)::float / (current_setting('max_pred_locks_per_transaction')::int
                              * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int))
      FROM pg_locks WHERE mode = 'SIReadLock'),
  'pendingRestart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
  'alteredBySystem', (
    SELECT coalesce(json_agg(name ORDER BY name), '[]')
      FROM pg_settings WHERE sourcefile LIKE '%/postgresql.auto.conf'));
