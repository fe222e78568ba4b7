-- Every acl, membership, setting and role attribute there is: all that a plan may change. One row each, sorted.
SELECT kind, name, value FROM (
  SELECT 'schema' AS kind, nspname::text AS name, concat(nspowner::regrole, ' ', coalesce(nspacl, acldefault('n', nspowner))) AS value FROM pg_namespace
  UNION ALL SELECT 'relation', oid::regclass::text, concat(relowner::regrole, ' ', relacl) FROM pg_class
             WHERE relnamespace::regnamespace::text !~ '^pg_(temp|toast)'
  UNION ALL SELECT 'column', concat(attrelid::regclass, '.', attname), attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
  UNION ALL SELECT 'routine', oid::regprocedure::text, proacl::text FROM pg_proc
  UNION ALL SELECT 'default', concat(defaclrole::regrole, ' ', defaclnamespace, ' ', defaclobjtype), defaclacl::text FROM pg_default_acl
  UNION ALL SELECT 'membership', concat(member::regrole, ' ', roleid::regrole), concat(admin_option, inherit_option, set_option) FROM pg_auth_members
  UNION ALL SELECT 'role', rolname, (to_jsonb(r) - 'oid' - 'rolpassword' - 'rolconfig')::text FROM pg_roles r
  UNION ALL SELECT 'password', rolname, rolpassword FROM pg_authid
  UNION ALL SELECT 'setting', concat(setdatabase, ' ', setrole::regrole), setconfig::text FROM pg_db_role_setting
  UNION ALL SELECT 'database', datname, datacl::text FROM pg_database
  UNION ALL SELECT 'language', lanname, lanacl::text FROM pg_language
  UNION ALL SELECT 'event trigger', evtname, evtenabled::text FROM pg_event_trigger
) AS everything
 ORDER BY kind, name, value;
