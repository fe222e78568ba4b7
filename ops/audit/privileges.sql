-- Where the privileges on an object are not what the plan says, a row each. After access/objects.sql.
-- $1: planned privileges, $2: what is taken from PUBLIC, both as JSON rows {type, name, grantee, privilege}; of what is granted on all
-- of a schema the name is the schema. $3: schemas of the services; $4: the platform's own; $5: schemas of the services that are asked
-- for, and '' for all that is in none of them; $6: names of schemas in which restores keep something.
, planned AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS p(type text, name text, grantee text, privilege text)
), taken AS (
  SELECT * FROM jsonb_to_recordset($2::jsonb) AS t(type text, name text, privilege text)
), item AS (
  SELECT row_number() OVER () AS id, o.*,
         o.schema = ANY ($3) AND o.type NOT IN ('schema', 'type') AS is_services,
         -- Types stay everybody's: without a right to the schema nobody names them.
         o.schema = $4 AND o.type NOT IN ('schema', 'type') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e') AS is_platforms,
         CASE WHEN o.type IN ('function', 'procedure') THEN 'routine'
              WHEN o.type IN ('view', 'materialized view', 'foreign table') THEN 'table' ELSE o.type END AS kind
    FROM object o
   WHERE CASE WHEN o.schema = ANY ($3) THEN o.schema ELSE '' END = ANY ($5)
     -- What a restore has kept: without a right to the schema, which is asked for, nobody names it.
     AND (o.type = 'schema' OR o.schema !~ $6)
     -- PostgreSQL's own constructors of range types are as harmless as the type.
     AND NOT (o.type = 'function' AND o.schema = ANY ($3)
                AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'i'))
), expected AS (
  SELECT i.id, p.grantee, p.privilege
    FROM item i JOIN planned p ON p.type = CASE WHEN i.is_services THEN i.kind ELSE i.type END
                              AND p.name = CASE WHEN i.is_services THEN i.schema ELSE i.name END
  UNION
  SELECT i.id, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type
    FROM item i CROSS JOIN aclexplode(i.initial) a
   WHERE a.grantee <> i.owner AND NOT i.is_services AND NOT i.is_platforms
     AND NOT (a.grantee = 0 AND EXISTS (
           SELECT FROM taken t
            WHERE t.type = i.type AND t.privilege = a.privilege_type AND t.name IN (i.name, '*')))
), actual AS (
  SELECT i.id, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
         a.privilege_type AS privilege, bool_or(a.is_grantable) AS grantable,
         -- Whoever granted it on: only what that one lost is lost to all after it.
         array_agg(DISTINCT pg_get_userbyid(a.grantor)::text) FILTER (WHERE a.grantor <> i.owner) AS grantors
    FROM item i CROSS JOIN aclexplode(coalesce(i.acl, i.initial)) a
   WHERE a.grantee <> i.owner
   GROUP BY 1, 2, 3
), owned AS (
  -- What an owner has lost of its own.
  SELECT i.id, pg_get_userbyid(i.owner)::text AS grantee, a.privilege_type AS privilege
    FROM item i CROSS JOIN aclexplode(acldefault(
           CASE i.kind WHEN 'sequence' THEN 's' WHEN 'routine' THEN 'f' ELSE 'r' END::"char", i.owner)) a
   WHERE i.is_services AND i.kind <> 'column' AND a.grantee = i.owner AND i.acl IS NOT NULL
     AND NOT EXISTS (SELECT FROM aclexplode(i.acl) has WHERE has.grantee = i.owner AND has.privilege_type = a.privilege_type)
), deviation AS (
  SELECT coalesce(a.id, e.id) AS id, coalesce(a.grantee, e.grantee) AS grantee, coalesce(a.privilege, e.privilege) AS privilege,
         CASE WHEN a.id IS NULL THEN 'missing' WHEN e.id IS NULL THEN 'extra' ELSE 'grantable' END AS state, a.grantors
    FROM actual a FULL JOIN expected e ON e.id = a.id AND e.grantee = a.grantee AND e.privilege = a.privilege
   WHERE a.id IS NULL OR e.id IS NULL OR a.grantable
  UNION ALL
  SELECT id, grantee, privilege, 'missing', NULL FROM owned
)
SELECT d.grantee AS role, i.schema::text AS schema, pg_get_userbyid(i.owner)::text AS owner, d.privilege, i.type, i.name, d.state,
       format('%s%s ON %s', d.privilege, i.columns, i.target) AS clause,
       coalesce(d.grantors, '{}') AS grantors
  FROM deviation d JOIN item i ON i.id = d.id
 ORDER BY i.type, i.name, d.grantee, d.privilege;
