-- What ALTER ROLE … SET says of these roles, a row for each; database is NULL where it holds in every one.
SELECT r.rolname AS role, d.datname AS database, unnest(s.setconfig) AS setting
  FROM pg_db_role_setting s
  JOIN pg_roles r ON r.oid = s.setrole
  LEFT JOIN pg_database d ON d.oid = s.setdatabase
 WHERE r.rolname = ANY ($1)
 ORDER BY 1, 2 NULLS FIRST, 3;
