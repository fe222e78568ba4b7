-- Who may do what on what, and from which grant; effective: ownership, grants, memberships and predefined roles count. What PostgreSQL
-- gives by itself to PUBLIC, and to the bootstrap superuser, is left out; what of it is taken away is a row with "taken".
-- $1: the roles, PUBLIC is always in. After objects.sql. One row for each role, object, source and whether it may be granted on.
, grantee_role AS (
  SELECT oid, rolname::text AS name FROM pg_roles WHERE rolname = ANY ($1)
), granted AS (
  SELECT o.type, o.name, o.owner, a.grantee, a.privilege_type AS privilege, a.is_grantable AS grantable,
         EXISTS (SELECT FROM aclexplode(o.initial) i
                  WHERE i.grantee = a.grantee AND i.privilege_type = a.privilege_type
                    AND i.is_grantable = a.is_grantable AND a.grantee <> o.owner) AS built_in
    FROM object o CROSS JOIN aclexplode(coalesce(o.acl, o.initial)) a
), data_role(name, types, privileges) AS (
  VALUES ('pg_read_all_data', '{table,view,materialized view,foreign table,sequence}'::text[], '{SELECT}'::text[]),
         ('pg_read_all_data', '{schema}', '{USAGE}'),
         ('pg_write_all_data', '{table,view,materialized view,foreign table}', '{INSERT,UPDATE,DELETE}'),
         ('pg_write_all_data', '{sequence}', '{UPDATE}'),
         ('pg_write_all_data', '{schema}', '{USAGE}')
), effective AS (
  SELECT coalesce(r.name, 'PUBLIC') AS role, g.type, g.name, g.privilege, g.grantable,
         CASE WHEN g.grantee = g.owner THEN 'owner' ELSE 'grant' END
           || CASE WHEN g.grantee = 0 OR r.oid = g.grantee THEN '' ELSE ' to ' || g.grantee::regrole END AS source
    FROM granted g
    LEFT JOIN grantee_role r ON g.grantee <> 0 AND pg_has_role(r.oid, g.grantee, 'USAGE')
   WHERE NOT g.built_in AND (g.grantee = 0 OR r.oid IS NOT NULL)
  UNION ALL
  SELECT r.name, o.type, o.name, p.privilege, false, 'member of ' || d.name
    FROM grantee_role r
    JOIN data_role d ON pg_has_role(r.oid, d.name, 'USAGE')
    JOIN object o ON o.type = ANY (d.types) AND o.name !~ '^(pg_catalog|information_schema)(\.|$)'
   CROSS JOIN unnest(d.privileges) AS p(privilege)
  UNION ALL
  SELECT 'PUBLIC', o.type, o.name, i.privilege_type, false, 'taken'
    FROM object o CROSS JOIN aclexplode(o.initial) i
   -- What the platform makes and keeps to itself is nobody's loss.
   WHERE o.acl IS NOT NULL AND i.grantee = 0 AND o.name !~ '^platform(\.|$)'
     AND NOT EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = 0 AND a.privilege_type = i.privilege_type)
  UNION ALL
  SELECT coalesce(r.name, 'PUBLIC'),
         CASE d.defaclobjtype WHEN 'r' THEN 'future tables' WHEN 'S' THEN 'future sequences' WHEN 'f' THEN 'future routines'
                              WHEN 'T' THEN 'future types' ELSE 'future schemas' END,
         d.defaclrole::regrole || CASE WHEN n.oid IS NULL THEN '' ELSE ' in schema ' || quote_ident(n.nspname) END,
         a.privilege_type, a.is_grantable, 'default'
    FROM pg_default_acl d
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
   CROSS JOIN aclexplode(d.defaclacl) a
    LEFT JOIN grantee_role r ON r.oid = a.grantee
   WHERE a.grantee <> d.defaclrole AND (a.grantee = 0 OR r.oid IS NOT NULL)
  UNION ALL
  -- An entry for all schemas replaces PostgreSQL's own default: what it lacks is taken.
  SELECT 'PUBLIC', CASE d.defaclobjtype WHEN 'f' THEN 'future routines' ELSE 'future types' END,
         d.defaclrole::regrole::text, i.privilege_type, false, 'taken'
    FROM pg_default_acl d CROSS JOIN aclexplode(acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)) i
   WHERE d.defaclnamespace = 0 AND i.grantee = 0
     AND NOT EXISTS (SELECT FROM aclexplode(d.defaclacl) a WHERE a.grantee = 0 AND a.privilege_type = i.privilege_type)
  UNION ALL
  SELECT r.name, 'role', m.roleid::regrole::text, p.privilege, m.admin_option, 'member'
    FROM pg_auth_members m
    JOIN grantee_role r ON r.oid = m.member
   CROSS JOIN LATERAL (SELECT 'INHERIT' WHERE m.inherit_option UNION ALL SELECT 'SET' WHERE m.set_option
                       UNION ALL SELECT 'ADMIN' WHERE m.admin_option) AS p(privilege)
)
SELECT role, type, name, source, grantable, array_agg(DISTINCT privilege ORDER BY privilege) AS privileges
  FROM effective
 WHERE NOT (type = 'database' AND name = 'template0')
 GROUP BY role, type, name, source, grantable
 ORDER BY role, type, name, source, grantable;
