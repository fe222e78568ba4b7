-- CONNECT and TEMPORARY on every database: PUBLIC may connect to postgres and template1 by default, and what is left
-- behind in template1 is inherited by every database created later.
DO $revoke_databases$
DECLARE
  open_database name;
BEGIN
  FOR open_database IN
    SELECT DISTINCT datname
      FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl
     WHERE acl.grantee = 0
  LOOP
    EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', open_database);
  END LOOP;
END
$revoke_databases$;
