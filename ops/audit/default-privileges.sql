-- Default privileges that are not what the plan says. $1: planned ones as JSON rows {owner, schema, type, grantee, privilege}, of
-- PostgreSQL's letters for types; "" is every schema.
WITH planned AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS p(owner text, schema text, type "char", grantee text, privilege text)
), owner AS (
  SELECT DISTINCT r.oid, r.rolname::text AS name FROM pg_roles r JOIN planned ON planned.owner = r.rolname
), actual AS (
  SELECT pg_get_userbyid(d.defaclrole)::text AS owner, coalesce(n.nspname::text, '') AS schema, d.defaclobjtype AS type,
         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee, a.privilege_type AS privilege,
         bool_or(a.is_grantable) AS grantable
    FROM pg_default_acl d
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
   CROSS JOIN aclexplode(d.defaclacl) a
   -- USAGE on types is everybody's, as on those there are.
   WHERE a.grantee <> d.defaclrole AND NOT (d.defaclobjtype = 'T' AND a.grantee = 0)
   GROUP BY 1, 2, 3, 4, 5
  UNION ALL
  -- Where an owner has no entry for all schemas, PostgreSQL's own counts.
  SELECT name, '', 'f', 'PUBLIC', 'EXECUTE', false
    FROM owner
   WHERE NOT EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = owner.oid AND defaclnamespace = 0 AND defaclobjtype = 'f')
)
SELECT coalesce(a.owner, p.owner) AS owner, coalesce(a.schema, p.schema) AS schema, coalesce(a.grantee, p.grantee) AS role,
       coalesce(a.privilege, p.privilege) AS privilege,
       CASE coalesce(a.type, p.type) WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
                                     WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END AS objects,
       CASE WHEN a.owner IS NULL THEN 'missing' WHEN p.owner IS NULL THEN 'extra' ELSE 'grantable' END AS state
  FROM actual a
  FULL JOIN planned p ON p.owner = a.owner AND p.schema = a.schema AND p.type = a.type AND p.grantee = a.grantee AND p.privilege = a.privilege
 WHERE a.owner IS NULL OR p.owner IS NULL OR a.grantable
 ORDER BY 1, 2, 5, 3, 4;
