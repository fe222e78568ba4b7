-- CREATE ROLE has no IF NOT EXISTS. Attributes follow as ALTER ROLE.
DO $create_roles$
DECLARE
  missing name;
BEGIN
  FOR missing IN
    SELECT name FROM planned_role WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
  LOOP
    EXECUTE format('CREATE ROLE %I', missing);
  END LOOP;
END
$create_roles$;
