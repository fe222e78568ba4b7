-- What roles have set of themselves, a JSON object a line: settings for each role and database, where a value may have line breaks; and
-- the length of a password's verifier that is longer than any. What is very long is not read, also where it is stored in little:
-- pg_dumpall would take it apart for hours. A verifier is 133 characters; PostgreSQL takes one of hundreds of megabytes, and keeps it in the
-- cache of every session that looks the role up.
SELECT own
  FROM (SELECT r.rolname, d.datname, json_build_object('role', r.rolname, 'database', d.datname, 'settings',
                 CASE WHEN NOT (pg_column_size(s.setconfig) > 2000 OR octet_length(s.setconfig::text) > 4000)
                   THEN (SELECT coalesce(json_object_agg(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)), '{}')
                           FROM unnest(s.setconfig) AS setting) END) AS own
          FROM pg_db_role_setting s
          JOIN pg_roles r ON r.oid = s.setrole
          LEFT JOIN pg_database d ON d.oid = s.setdatabase
        UNION ALL
        SELECT rolname, NULL, json_build_object('role', rolname, 'passwordBytes', octet_length(rolpassword))
          FROM pg_authid
         WHERE octet_length(rolpassword) > 1000) AS found
 ORDER BY rolname, datname NULLS FIRST;
