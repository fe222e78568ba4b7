-- Grants what the plan grants on all objects of a schema where it is missing. One by one: a schema may have hundreds of thousands, for
-- which one statement has no memory, and of one object whose row of pg_class has no room for a grant the others must not suffer. What
-- is refused is left to the effect test, which names it.
DO $grant_planned$
DECLARE
  missing text;
BEGIN
  FOR missing IN
    WITH object(class, schema, target, acl) AS (
      SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname,
             format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname),
             coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
        FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname IN (SELECT name FROM planned_schema WHERE is_service) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      UNION ALL
      SELECT 'routine', nspname, CASE prokind WHEN 'p' THEN format('PROCEDURE %I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid))
                          ELSE format('FUNCTION %s', p.oid::regprocedure) END,
             coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
       WHERE nspname IN (SELECT name FROM planned_schema WHERE is_service)
    ), lacking AS (
      -- Once for objects that are alike.
      SELECT alike.*, granted.*
        FROM (SELECT DISTINCT class, schema, acl FROM object) AS alike
       CROSS JOIN LATERAL (
         SELECT p.grantee, string_agg(DISTINCT p.privilege, ', ') AS privileges
           FROM planned_privilege p LEFT JOIN pg_roles r ON r.rolname = p.grantee
          WHERE p.class = alike.class AND p.name = alike.schema
            AND NOT EXISTS (SELECT FROM aclexplode(alike.acl) a WHERE a.grantee = coalesce(r.oid, 0) AND a.privilege_type = p.privilege)
          GROUP BY 1) AS granted
    )
    SELECT format('GRANT %s ON %s TO %s', l.privileges, o.target, CASE l.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(l.grantee) END)
      FROM lacking l JOIN object o USING (class, schema, acl)
  LOOP
    BEGIN
      EXECUTE missing;
    EXCEPTION
      -- No object's doing, but of who is logged in at this moment: an owner may hold any number of tables, at ten seconds each, while
      -- nobody else has DDL, or all locks the server has. What is left then would be left silently.
      WHEN lock_not_available OR transaction_rollback OR insufficient_resources OR operator_intervention OR system_error THEN RAISE;
      WHEN OTHERS THEN
      RAISE WARNING '%: %', missing, SQLERRM;
    END;
  END LOOP;
END
$grant_planned$;
