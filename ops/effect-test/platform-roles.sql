-- What the catalog says of the roles that log in and belong to no service, as the plan would put it.
SELECT rolname AS role,
       has_database_privilege(oid, current_database(), 'CONNECT') AS connect,
       rolsuper OR rolcreaterole OR rolcreatedb AS powerful,
       rolreplication AS replication,
       rolbypassrls AS "bypassRowSecurity",
       ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1) AS "memberOf"
  FROM pg_roles r
 WHERE rolname = ANY ($1)
 ORDER BY rolname;
