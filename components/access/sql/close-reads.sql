-- Who reads a schema no more gets back what readers may not call, in this transaction. The provider takes the rights on what is in it, one
-- by one, when everything else is done, and each waits for whoever has altered its table and not committed; this waits for no table.
DO $close_reads$
DECLARE
  closed text;
BEGIN
  FOR closed IN
    SELECT format('REVOKE ALL ON SCHEMA %I FROM %I', n.nspname, r.rolname)
      FROM pg_namespace n
     CROSS JOIN aclexplode(n.nspacl) AS a
      JOIN pg_roles r ON r.oid = a.grantee
     WHERE n.nspname IN (SELECT schema FROM planned_use) AND r.rolname IN (SELECT role FROM planned_use)
       AND NOT EXISTS (SELECT FROM planned_use p WHERE p.schema = n.nspname AND p.role = r.rolname)
  LOOP
    EXECUTE closed;
  END LOOP;
END
$close_reads$;
