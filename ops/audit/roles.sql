-- Every role but PostgreSQL's own, with what it is, what ALTER ROLE … SET says of it, and whose member it is. No planned value is longer
-- than 500 characters, and a role may set itself one of megabytes.
SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolinherit AS inherit, r.rolcreaterole AS createrole, r.rolcreatedb AS createdb,
       r.rolcanlogin AS login, r.rolreplication AS replication, r.rolbypassrls AS bypassrls,
       r.rolconnlimit AS "connectionLimit", r.rolvaliduntil::text AS "validUntil",
       a.rolpassword IS NOT NULL AS "hasPassword", coalesce(a.rolpassword LIKE 'SCRAM-SHA-256$%', false) AS "isScram",
       coalesce((SELECT json_agg(json_build_object('database', d.datname, 'name', split_part(setting, '=', 1),
                                                   'value', substr(setting, strpos(setting, '=') + 1, 500))
                                 ORDER BY d.datname NULLS FIRST, setting)
                   FROM pg_db_role_setting s
                   LEFT JOIN pg_database d ON d.oid = s.setdatabase
                  CROSS JOIN unnest(s.setconfig) AS setting
                  WHERE s.setrole = r.oid), '[]') AS settings,
       coalesce((SELECT json_agg(json_build_object('role', g.rolname, 'grantor', pg_get_userbyid(m.grantor), 'admin', m.admin_option,
                                                   'inherit', m.inherit_option, 'set', m.set_option) ORDER BY g.rolname, m.grantor)
                   FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                  WHERE m.member = r.oid), '[]') AS memberships
  FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid
 WHERE r.rolname !~ '^pg_' AND r.oid <> 10
 ORDER BY r.rolname;
