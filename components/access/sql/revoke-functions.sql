-- What the planned roles may call in pg_catalog by a grant the plan lacks: a service that begins to read another loses some.
DO $revoke_functions$
DECLARE
  unplanned text;
BEGIN
  FOR unplanned IN
    SELECT format('REVOKE EXECUTE ON FUNCTION pg_catalog.%s FROM %I', p.oid::regprocedure, r.rolname)
      FROM pg_proc p
     CROSS JOIN aclexplode(p.proacl) a
      JOIN pg_roles r ON r.oid = a.grantee
      JOIN planned_role ON planned_role.name = r.rolname
     WHERE p.pronamespace = 'pg_catalog'::regnamespace
       AND NOT EXISTS (SELECT FROM planned_privilege planned
                        WHERE planned.class = 'function' AND planned.grantee = r.rolname
                          AND to_regprocedure(planned.name) = p.oid)
  LOOP
    EXECUTE unplanned;
  END LOOP;
END
$revoke_functions$;
