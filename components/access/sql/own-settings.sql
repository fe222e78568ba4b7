-- Settings that roles have, a JSON object a line for each role and database; a value may have line breaks. What is very long is not
-- read, also where it is stored in little: pg_dumpall would take it apart for hours.
SELECT json_build_object('role', r.rolname, 'database', d.datname, 'settings',
         CASE WHEN NOT (pg_column_size(s.setconfig) > 2000 OR octet_length(s.setconfig::text) > 4000)
           THEN (SELECT coalesce(json_object_agg(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)), '{}')
                   FROM unnest(s.setconfig) AS setting) END) AS own
  FROM pg_db_role_setting s
  JOIN pg_roles r ON r.oid = s.setrole
  LEFT JOIN pg_database d ON d.oid = s.setdatabase
 ORDER BY r.rolname, d.datname NULLS FIRST;
