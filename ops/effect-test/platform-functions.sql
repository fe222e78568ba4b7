-- Which of the functions $2 each of the roles $1 may execute.
SELECT r.rolname AS role, s.signature,
       has_function_privilege(r.oid, ('pg_catalog.' || s.signature)::regprocedure, 'EXECUTE') AS may
  FROM pg_roles r, unnest($2::text[]) AS s(signature)
 WHERE r.rolname = ANY ($1);
