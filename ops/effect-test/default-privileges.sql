-- What the owners in $1 grant on what they will create. A schema-less row holds the complete default; where there is
-- none, PostgreSQL's built-in one counts, of which only EXECUTE for PUBLIC goes to anybody but the owner.
SELECT r.rolname AS owner, coalesce(n.nspname, '') AS schema, d.type, a.privilege_type AS privilege,
       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee
  FROM pg_roles r
  JOIN LATERAL (
         SELECT defaclnamespace AS namespace, defaclobjtype AS type, defaclacl AS acl FROM pg_default_acl WHERE defaclrole = r.oid
         UNION ALL
         SELECT 0, 'f', acldefault('f', r.oid)
          WHERE NOT EXISTS (SELECT FROM pg_default_acl
                             WHERE defaclrole = r.oid AND defaclnamespace = 0 AND defaclobjtype = 'f')
       ) d ON d.type IN ('r', 'S', 'f')
  LEFT JOIN pg_namespace n ON n.oid = d.namespace
 CROSS JOIN aclexplode(d.acl) a
 WHERE r.rolname = ANY ($1) AND a.grantee <> r.oid;
