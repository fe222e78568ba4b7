-- Takes away what the server has in the services' schemas and roles and the plan lacks. Grant options go first and with
-- CASCADE: what a third party granted with one survives a plain REVOKE, silently. One object that refuses, whatever its
-- owner made of it, must not keep the platform from the rest: it is left to the effect test, which names it.
DO $revoke_unplanned$
DECLARE
  unplanned text;
BEGIN
  FOR unplanned IN
    WITH object(class, name, target, acl, owner) AS (
      SELECT 'database', datname::text, format(' ON DATABASE %I', datname), coalesce(datacl, acldefault('d', datdba)), datdba
        FROM pg_database
       WHERE datname = current_database()
      UNION ALL
      SELECT 'schema', nspname, format(' ON SCHEMA %I', nspname), coalesce(nspacl, acldefault('n', nspowner)), nspowner
        FROM pg_namespace
       WHERE nspname = 'public' OR nspname IN (SELECT name FROM planned_schema)
      UNION ALL
      SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname,
             format(' ON %s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname),
             coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)), relowner
        FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname IN (SELECT name FROM planned_schema WHERE is_service) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      UNION ALL
      -- No plan grants a column: class 'column' matches nothing.
      SELECT 'column', nspname, format(' (%I) ON TABLE %I.%I', attname, nspname, relname), attacl, relowner
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname IN (SELECT name FROM planned_schema WHERE is_service) AND attacl IS NOT NULL AND NOT attisdropped
      UNION ALL
      -- By kind, not ROUTINE: a function and a procedure may share a name and input types. Not the constructors PostgreSQL
      -- makes for a range type: they are as harmless as the type.
      SELECT 'routine', nspname,
             CASE prokind WHEN 'p' THEN format(' ON PROCEDURE %I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid))
                          ELSE format(' ON FUNCTION %s', p.oid::regprocedure) END,
             coalesce(proacl, acldefault('f', proowner)), proowner
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
       WHERE nspname IN (SELECT name FROM planned_schema WHERE is_service)
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
    ), privilege AS (
      SELECT o.target, a.privilege_type, a.is_grantable,
             CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,
             EXISTS (SELECT FROM planned_privilege p
                      WHERE p.class = o.class AND p.name = o.name AND p.privilege = a.privilege_type
                        AND p.grantee = CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END)
               AS planned
        FROM object o, aclexplode(o.acl) a
       WHERE a.grantee <> o.owner
    ), todo(step, statement) AS (
      -- Memberships of and in the planned roles.
      SELECT 1, format('REVOKE %s%I FROM %I GRANTED BY %I CASCADE',
                       CASE WHEN p.role IS NOT NULL THEN 'ADMIN OPTION FOR ' END, r.rolname, m.rolname, g.rolname)
        FROM pg_auth_members a
        JOIN pg_roles r ON r.oid = a.roleid
        JOIN pg_roles m ON m.oid = a.member
        JOIN pg_roles g ON g.oid = a.grantor
        LEFT JOIN planned_membership p ON p.role = r.rolname AND p.member = m.rolname
       WHERE EXISTS (SELECT FROM planned_role p WHERE p.name IN (r.rolname, m.rolname))
         AND (p.role IS NULL OR a.admin_option)
      UNION ALL
      -- Settings of a role in one database: pg_roles does not show them.
      SELECT 1, format('ALTER ROLE %I IN DATABASE %I RESET ALL', r.rolname, d.datname)
        FROM pg_db_role_setting s
        JOIN pg_roles r ON r.oid = s.setrole
        JOIN pg_database d ON d.oid = s.setdatabase
        JOIN planned_role p ON p.name = r.rolname
      UNION ALL
      SELECT CASE WHEN is_grantable THEN 2 ELSE 3 END,
             format('REVOKE %s%s%s FROM %s CASCADE',
                    CASE WHEN planned THEN 'GRANT OPTION FOR ' END, privilege_type, target, grantee)
        FROM privilege
       WHERE NOT planned OR is_grantable
      UNION ALL
      -- Default privileges given by a planned role, or in a planned schema; USAGE on types stays what is built in.
      SELECT 4, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s REVOKE %s%s ON %s FROM %s CASCADE',
                       pg_get_userbyid(d.defaclrole),
                       CASE WHEN n.oid IS NOT NULL THEN format('IN SCHEMA %I', n.nspname) END,
                       CASE WHEN planned.privilege IS NOT NULL THEN 'GRANT OPTION FOR ' END,
                       a.privilege_type,
                       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
                                            WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END,
                       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
        FROM pg_default_acl d
        LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
       CROSS JOIN aclexplode(d.defaclacl) a
        LEFT JOIN planned_default_privilege planned
          ON planned.owner = pg_get_userbyid(d.defaclrole) AND planned.schema = coalesce(n.nspname, '')
         AND planned.object_type = d.defaclobjtype AND planned.privilege = a.privilege_type
         AND planned.grantee = CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
       WHERE (pg_get_userbyid(d.defaclrole) IN (SELECT name FROM planned_role)
              OR n.nspname IN (SELECT name FROM planned_schema WHERE is_service))
         AND (planned.privilege IS NULL OR a.is_grantable)
         AND a.grantee <> d.defaclrole
         AND NOT (d.defaclobjtype = 'T' AND a.grantee = 0)
    )
    SELECT statement FROM todo GROUP BY statement ORDER BY min(step), statement
  LOOP
    BEGIN
      EXECUTE unplanned;
    EXCEPTION
      -- No object's doing, but of who is logged in at this moment: an owner may hold any number of tables, at ten seconds each, while
      -- nobody else has DDL, or all locks the server has. What is left then would be left silently.
      WHEN lock_not_available OR transaction_rollback OR insufficient_resources OR operator_intervention OR system_error THEN RAISE;
      WHEN OTHERS THEN
      RAISE WARNING '%: %', unplanned, SQLERRM;
    END;
  END LOOP;
END
$revoke_unplanned$;
