-- What these roles are by themselves; see RoleRow. $1: names.
SELECT rolname AS role, rolconnlimit AS "connectionLimit",
       array_remove(ARRAY[CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
                          CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcanlogin THEN 'LOGIN' END,
                          CASE WHEN NOT rolinherit THEN 'NOINHERIT' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
                          CASE WHEN rolsuper THEN 'SUPERUSER' END], NULL) AS attributes,
       ARRAY(SELECT concat(d.datname || ': ', setting)
               FROM pg_db_role_setting s
               LEFT JOIN pg_database d ON d.oid = s.setdatabase
              CROSS JOIN unnest(s.setconfig) AS setting
              WHERE s.setrole = r.oid ORDER BY 1) AS settings
  FROM pg_roles r
 WHERE rolname = ANY ($1);
